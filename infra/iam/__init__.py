"""The rights of roles: one module for each kind of resource of a workload, and statements on them as plain values."""
