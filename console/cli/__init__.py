"""The command line: what a person does with the system, on this machine or on AWS."""
