"""What a label may be, a module each: how it is recognised, its column in the contract, its gates."""
