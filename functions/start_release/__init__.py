"""Opens a release: the lease, the package, what stands already."""
