"""One decision per prediction: its record, and its join with the labels that come later."""
