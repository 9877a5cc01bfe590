"""Where decisions go: what a workload declares of its consumers, and what each kind of them does."""
