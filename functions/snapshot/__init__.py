"""A training run gets its dataset version and its configuration."""
