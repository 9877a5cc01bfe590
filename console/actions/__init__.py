"""What a person changes: drop a file, start, redrive, roll back, predict, tear down."""
