"""Bytes become typed rows: CSV, JSON lines, Parquet, lone images; by the contract's schema, never an inferred one."""
