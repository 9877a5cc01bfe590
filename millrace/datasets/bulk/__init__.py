"""Judges a drop that is larger than a function can take, in many tasks: equal to what a function would say of it."""
