"""What the templates use, and what the local cloud does of it: executed, simulated or not covered."""
