"""Amazon CloudWatch Logs: the lines of functions, jobs and endpoints."""
