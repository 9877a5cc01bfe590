"""The machine `release` in one process, a state at a time, so that thousands of sequences of events can be tried."""
