"""Tears a workload down step by step: stops what runs, and deletes what no template manages. Data and audit stay."""
