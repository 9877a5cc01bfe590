"""What others do with the same files, each run as a script in an environment of its own: `millrace` is not there."""
