"""Makes a version the champion: moves the release pointers and approves the package."""
