"""Fourteen months of the workload `electricity`, lived through on one machine."""
