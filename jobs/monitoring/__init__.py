"""Judge the windows of a monitor run against the champion's baseline."""
