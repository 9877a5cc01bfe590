"""The tables of a workload stay small and quick, however many drops come."""
