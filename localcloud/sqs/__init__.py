"""Amazon SQS: queues, and the functions that they feed."""
