"""Takes away, step by step, what runs and what no template knows; data and audit stay."""
