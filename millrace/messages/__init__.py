"""The messages between state machines, functions and jobs."""
