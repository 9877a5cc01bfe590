"""Settings of functions: the class that the stack renders is the class that the handler parses."""
