"""How good models become on real data, through the code that trains and answers; a missed bar is exit status 1."""
