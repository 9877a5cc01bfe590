"""What the console does with a file of rows, by format: name its columns, cut it, take single rows out."""
