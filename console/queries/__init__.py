"""Typed answers about a workload: the only place that reads the cloud for people."""
