"""May this training run start: nobody else trains, and the month's budget has room."""
