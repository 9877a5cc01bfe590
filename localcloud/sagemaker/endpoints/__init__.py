"""Endpoints: their API, the processes that answer, and the change from one fleet to the next."""
