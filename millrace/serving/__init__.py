"""The model behind its requests: bodies in, answers out; the same in a container and in a function."""
