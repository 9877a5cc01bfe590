"""The report's story, from what the cloud holds at the end."""
