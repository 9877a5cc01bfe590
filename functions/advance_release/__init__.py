"""Makes a version the champion: moves the release pointers, marks the package as live, deletes what older ones left."""
