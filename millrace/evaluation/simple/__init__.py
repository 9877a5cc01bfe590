"""The strong simple models that a network must beat: one file each."""
