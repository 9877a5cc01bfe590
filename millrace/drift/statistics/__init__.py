"""The statistics, one per file; `millrace.drift.catalogue` lists them."""
