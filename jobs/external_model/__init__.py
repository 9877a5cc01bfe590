"""External model: turns a model that was trained elsewhere into the archive that a training job would have left."""
