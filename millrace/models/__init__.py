"""The families of networks. Each has a declaration, which needs no torch, and a network in torch."""
