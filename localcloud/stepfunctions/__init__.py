"""AWS Step Functions: executions, their tasks and their redrive."""
