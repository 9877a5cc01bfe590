"""Transformed rows are joined and delivered."""
