"""What the evaluation job measures for the gates that are declared: one file for each, no gate is judged here."""
