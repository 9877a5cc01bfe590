"""The stacks: platform and audit once for a stage, and for each workload the rooms of `catalogue`."""
