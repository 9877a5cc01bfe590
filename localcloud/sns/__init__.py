"""Amazon SNS: topics and their subscriptions."""
