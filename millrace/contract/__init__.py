"""What a row must be: our light model of a contract, its reader, and its rules on tables and on single rows."""
