"""Says each day whether rows and labels come later than agreed."""
