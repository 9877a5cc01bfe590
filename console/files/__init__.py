"""What people do with a file of rows by its format: name its columns, cut it, take rows out of it again."""
