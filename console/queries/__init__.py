"""Typed answers about a workload. Only these modules read the cloud for people."""
