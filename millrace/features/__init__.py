"""How a column of the contract becomes a model's input."""
