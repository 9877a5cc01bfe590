"""What state machines, functions and jobs tell each other."""
