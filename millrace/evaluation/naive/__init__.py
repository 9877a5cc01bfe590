"""The naive rules that a model must beat: one file each."""
