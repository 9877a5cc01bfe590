"""A scoring drop becomes shards for batch transform."""
