"""The function `validation`: it judges typed rows by the contract."""
