"""A task, an encoder and a family that the product does not have, to see that each is one file and one line."""
