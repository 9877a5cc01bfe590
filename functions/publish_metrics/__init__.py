"""What a monitor run found becomes metrics; the cursors move."""
