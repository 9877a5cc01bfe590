"""What an operator is notified of, and where failed messages wait."""
