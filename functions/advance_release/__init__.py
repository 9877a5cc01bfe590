"""Moves the release pointers and approves the package."""
