"""What things cost: each prints its figure and, as the last line, a JSON object."""
