"""Accepted rows become one snapshot of their table."""
