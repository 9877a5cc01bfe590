"""The function that answers requests: rows in, predictions out."""
