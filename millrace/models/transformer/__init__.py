"""The family `transformer`: self-attention over the pieces of a text or the steps of a history, beside the columns."""
