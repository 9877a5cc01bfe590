"""What a model must pass before it is registered: one gate per file, a value per judgement."""
