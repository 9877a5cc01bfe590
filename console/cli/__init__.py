"""The command line: what a person does with the system, on this desk or on AWS."""
