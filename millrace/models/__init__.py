"""The families of networks: what each declares, without torch, and its network in torch."""
