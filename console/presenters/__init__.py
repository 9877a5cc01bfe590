"""How people read runs and alarms: one file for each machine."""
