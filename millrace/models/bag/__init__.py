"""Bags of n-grams: the weighted mean of their vectors, with the table's numbers and categories beside it."""
