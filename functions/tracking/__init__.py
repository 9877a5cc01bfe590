"""Records training runs in MLflow."""
