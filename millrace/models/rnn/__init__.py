"""The family `rnn`: plain recurrent layers over one history, beside the table's numbers and categories."""
