"""Numbers, their statistics, and alarms."""
