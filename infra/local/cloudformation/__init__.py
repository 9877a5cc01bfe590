"""Templates become resources, through the services' own APIs."""
