"""Plain calls to AWS that several parts share: objects in S3, endpoints, events, deletions, the meaning of errors."""
