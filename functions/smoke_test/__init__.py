"""Asks the challenger endpoint real rows before it gets any traffic."""
