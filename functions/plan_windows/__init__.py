"""The function that plans which windows a monitor run judges, and writes what the drift job needs for it."""
