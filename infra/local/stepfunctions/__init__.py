"""Executions, their tasks, their redrive."""
