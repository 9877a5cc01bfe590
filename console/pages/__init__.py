"""The report of a run: one self-contained page, made of a typed story."""
