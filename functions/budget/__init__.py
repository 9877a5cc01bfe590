"""Decides whether a training run may start: no other training may run, and the month's budget must have room."""
