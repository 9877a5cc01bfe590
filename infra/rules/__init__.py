"""Rules for every template that no public pack checks. One rule is one module."""
