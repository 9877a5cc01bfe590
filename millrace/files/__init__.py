"""Bytes become typed rows: CSV, JSON lines and Parquet, each with the contract's schema, never an inferred one."""
