"""Takes a model in that was made elsewhere, as a training job would have left it."""
