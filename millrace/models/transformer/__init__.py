"""Self-attention over the pieces of a text or the steps of a history, with the table's columns beside it."""
