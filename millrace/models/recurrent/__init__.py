"""The families `lstm` and `gru`: gated recurrent layers over one history, beside the table's numbers and categories."""
