"""What retraining policies would have cost: past trainings, and the rules of the deployed machines."""
