"""Keeps the tables and the decisions of a workload small and quick, however many drops and requests come."""
