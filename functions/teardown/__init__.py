"""Stops what runs and deletes what no template manages, step by step; data and audit stay."""
