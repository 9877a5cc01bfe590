"""The stacks: the platform once per environment, six rooms per workload."""
