"""A drop's bytes become typed rows."""
