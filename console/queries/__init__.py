"""What an operator does and asks, the same on this desk and on AWS."""
