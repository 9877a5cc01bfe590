"""A workload as its team declares it, and what it costs."""
