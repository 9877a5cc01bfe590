"""What a row must be: the contract's own light model, its reading, its rules on tables and on single rows."""
