"""The function of a consumer: it acts on decisions. It is deployed once for each declared consumer."""
