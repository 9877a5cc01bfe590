"""Monitoring: the drift job, which judges the windows of a monitor run against the champion's baseline."""
