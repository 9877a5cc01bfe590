"""What an operator does and asks, the same on this machine and on AWS."""
