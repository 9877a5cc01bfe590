"""When it happens: one folder per Lambda."""
