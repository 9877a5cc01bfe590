"""The state machines, one module each, and the states of which they are made."""
