"""Decisions: the record of each prediction, and its join with the label that comes later."""
