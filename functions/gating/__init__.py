"""Judges a model by the workload's gates."""
