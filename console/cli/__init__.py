"""The command line `millrace`, for the local cloud and for AWS: one module for each command, or for a few of them."""
