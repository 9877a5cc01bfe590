"""Erases what the stage keeps of a person, and proves it."""
