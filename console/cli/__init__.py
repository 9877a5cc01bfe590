"""The command line `millrace`, for the local cloud and for AWS."""
