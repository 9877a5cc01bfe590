"""Model versions: the registry, and the rules by which one goes live."""
