"""Jobs and the model registry: containers as processes."""
