"""`millrace new`: proposes a workload from a file of labelled rows. What the file does not show is an option."""
