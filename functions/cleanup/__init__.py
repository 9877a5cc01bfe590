"""Frees what an execution held when it has ended, however it ended."""
