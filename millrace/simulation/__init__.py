"""What retraining policies would have cost: past trainings, the rules of the deployed machines, and published rules."""
