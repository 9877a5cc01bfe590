"""Deletes the models and endpoint configurations of releases that no rollback needs any more."""
