"""Lambda: processes of a function, by the Runtime API."""
