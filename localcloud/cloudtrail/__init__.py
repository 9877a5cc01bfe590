"""AWS CloudTrail: who called."""
