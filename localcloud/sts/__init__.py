"""AWS STS: roles that are assumed."""
