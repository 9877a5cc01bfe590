"""Amazon SageMaker Runtime: the calls to endpoints."""
