"""Convolutional networks for one image, with the table's numbers and categories beside it."""
