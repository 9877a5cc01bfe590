"""The report on a trained model, and the gates that judge it."""
