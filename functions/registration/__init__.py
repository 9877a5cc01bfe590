"""Registers a model that passed its gates, with the digests of all that it was made of."""
