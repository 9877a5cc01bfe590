"""Makes of an external model the archive that a training job would have left."""
