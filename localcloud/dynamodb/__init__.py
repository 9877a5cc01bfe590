"""Amazon DynamoDB: conditional writes and streams."""
