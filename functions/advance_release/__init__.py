"""Makes a version the champion: moves the release pointers and marks the package as live."""
