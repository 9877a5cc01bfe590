"""The local cloud as its user handles it: start it, deploy into it, move its clock, stop it."""
