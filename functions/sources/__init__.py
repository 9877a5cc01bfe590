"""Reads the rows of other systems that came after a source's cursor, and drops them."""
