"""Amazon S3: events of objects, and conditional puts."""
