"""Actions of an operator: drop a file, start, redrive, roll back, predict, tear down."""
