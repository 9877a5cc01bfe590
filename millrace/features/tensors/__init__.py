"""What the entries of a tensor are, by its kind: one file for each."""
