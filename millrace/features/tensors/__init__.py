"""What the entries of a tensor mean, by the tensor's kind: one file per kind."""
