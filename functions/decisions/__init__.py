"""The function that writes the decisions of the queue to the lake."""
