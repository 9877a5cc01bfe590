"""Starts a version as its endpoint would, before there is one, and compares its answers with the evaluation's."""
