"""AWS KMS, of which the local cloud signs and verifies."""
