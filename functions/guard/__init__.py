"""Decides whether a retraining may start now."""
