"""Frees what an execution held, when it has ended in any way."""
