"""Erases what a stage keeps of a person, and looks again."""
