"""The parity ledger: the features that templates use, and whether the local cloud executes, simulates or lacks them."""
