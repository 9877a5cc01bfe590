"""Tools for people: queries, actions, the command line, pages, the proposal of a workload, the local cloud."""
