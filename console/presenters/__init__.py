"""How people read runs and alarms. Each machine has one file."""
