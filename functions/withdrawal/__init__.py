"""Takes rows out of the tables when a person withdraws them."""
