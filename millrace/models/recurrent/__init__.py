"""What the recurrent families `rnn`, `lstm` and `gru` share. It is no family itself."""
