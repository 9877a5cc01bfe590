"""The function that decides the records of a stream."""
