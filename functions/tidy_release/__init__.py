"""Deletes the models and endpoint configurations of earlier releases that no rollback needs any more."""
