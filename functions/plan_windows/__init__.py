"""Which windows a monitor run judges, and what it needs for that."""
