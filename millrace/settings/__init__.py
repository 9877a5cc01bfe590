"""One class per function and job: what the stack renders is what the handler parses."""
