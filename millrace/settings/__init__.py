"""Settings of functions: the stack renders a class as environment variables, and the handler parses the same class."""
