"""Decides whether a training run may start: no other training, and room in the month's budget."""
