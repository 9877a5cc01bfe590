"""Copies a released version of another stage, mostly of another account, once its signature is checked."""
