"""The tasks: one file per kind of answer, from the label to the figures by which a model is judged."""
