"""When it happens: one folder for each Lambda function, with `handler.py` and what only this function needs."""
