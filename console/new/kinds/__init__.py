"""Kinds of labels, one module each: how the kind is recognised, its column in the contract, its gates."""
