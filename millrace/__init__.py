"""What we know: contracts, features, models, drift, gates, release rules; imports nothing of ours."""
