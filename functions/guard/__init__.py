"""The guard: decides whether a retraining may start now."""
