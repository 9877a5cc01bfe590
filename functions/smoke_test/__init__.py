"""Sends real rows to the challenger endpoint before the version gets any traffic."""
