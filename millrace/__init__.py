"""What we know: contracts, features, models, drift, gates, release rules. It imports no other of our packages."""
