"""Registers the model that passed, with the digests of all it was made of."""
