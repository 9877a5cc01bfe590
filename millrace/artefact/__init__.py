"""A trained model as files: its archive, and the engine that answers with it."""
