"""What the recurrent families (rnn, lstm, gru) share; no family of its own."""
