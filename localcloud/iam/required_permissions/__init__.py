"""The permissions that each call requires, by service."""
