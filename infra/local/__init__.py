"""The cloud on your desk: moto's server with its gaps filled, one file per gap."""
