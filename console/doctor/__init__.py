"""Checks of this machine and of the account against what the templates need."""
