"""Keeps the tables of a workload small and quick, however many drops come."""
