"""Starts a release: takes the lease, reads the package and looks at the two endpoints."""
