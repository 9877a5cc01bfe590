"""Amazon SageMaker Runtime: calls to endpoints."""
