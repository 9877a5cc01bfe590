"""How people read runs and alarms."""
