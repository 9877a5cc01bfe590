"""Decisions on the queue become objects in the lake."""
