"""What the stacks are built of: a function, a machine, a queue, a rule, each with its role, log and key."""
