"""AWS by plain calls: objects in S3, what its errors mean."""
