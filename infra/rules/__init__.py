"""What must hold of every template and that no public pack checks; one rule is one file."""
