"""Texts, images, histories and the table in one network, any of which may be missing."""
