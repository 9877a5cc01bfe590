"""Frees by schedule what no running execution holds."""
