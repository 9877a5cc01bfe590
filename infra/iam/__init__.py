"""What a role may do: the resources of a workload, a module for each kind, and statements on them as plain values."""
