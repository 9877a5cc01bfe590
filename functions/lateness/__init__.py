"""Whether rows and labels come later than agreed, at each call of its schedule."""
