"""Amazon SageMaker: jobs and endpoints run containers as processes; beside them the model registry."""
