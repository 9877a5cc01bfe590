"""What a newcomer needs on this machine and in the account, and what is missing."""
