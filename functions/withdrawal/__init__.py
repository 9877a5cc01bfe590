"""A person takes rows out of the tables again."""
