"""A trained model as files: its archive and what is made of it, and the engine that answers with it."""
