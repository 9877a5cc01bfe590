"""What people use: queries, actions, the command line, pages, the proposal of a workload, the local cloud."""
