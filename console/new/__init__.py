"""A workload proposed from a file of labelled rows: what can be read off it, and what is said where it cannot."""
