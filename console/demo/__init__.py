"""Workloads lived through on one machine, each as a story in a local cloud of its own."""
