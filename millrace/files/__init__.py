"""Reads bytes as typed rows: CSV, JSON lines, Parquet, single images. The schema is the contract's, never inferred."""
