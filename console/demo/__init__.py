"""`millrace demo`: plays months of a workload on one machine, each workload as a story in a local cloud of its own."""
