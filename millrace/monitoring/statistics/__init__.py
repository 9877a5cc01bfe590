"""The statistics, one per file; `millrace.monitoring.statistics.catalogue` lists them."""
