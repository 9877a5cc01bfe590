"""The local cloud: moto's server with its gaps filled, one folder per AWS service."""
