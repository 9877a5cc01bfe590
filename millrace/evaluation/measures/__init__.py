"""What the evaluation job measures for declared gates: one file per gate. The gates themselves judge elsewhere."""
