"""AWS KMS: signatures. The local cloud signs and verifies, but encrypts nothing."""
