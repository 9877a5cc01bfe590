"""Serving: SageMaker's HTTP contract over one model, for endpoints and batch transform."""
