"""What travels: events, queues, topics, the notices of S3."""
