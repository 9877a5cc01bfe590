"""The function that works off jobs."""
