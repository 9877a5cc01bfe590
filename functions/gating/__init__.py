"""Judges the evaluation report by the workload's gates."""
