"""Preflight: starts a version as its endpoint would, before there is one, and compares its answers.

They must be those that the evaluation wrote down."""
