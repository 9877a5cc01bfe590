"""The report of a workload, and the card of a version: each is one HTML file that loads nothing from the network."""
