"""Erases all that the stage keeps of somebody."""
