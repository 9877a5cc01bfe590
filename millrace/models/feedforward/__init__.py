"""The family `feedforward`: dense layers over the table's numbers and categories."""
