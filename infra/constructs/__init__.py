"""The parts of which stacks are built: a function, a machine, a queue, a rule, each with its role, log and key."""
