"""Amazon CloudWatch: metrics, their statistics, and alarms."""
