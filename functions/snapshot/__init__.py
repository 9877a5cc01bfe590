"""Gives a training run its dataset version and its configuration."""
