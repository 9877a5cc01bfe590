"""Starts a release: takes the lease, reads the package and the two endpoints."""
