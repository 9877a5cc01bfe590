"""The function that publishes what a monitor run found as metrics, and moves the cursors on."""
