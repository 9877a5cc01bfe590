"""Propose a workload from a file of labelled rows; what the file does not show is an option of the command."""
