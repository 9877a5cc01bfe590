"""The permissions that a call requires, by service."""
