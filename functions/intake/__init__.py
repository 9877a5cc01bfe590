"""An object in the landing bucket starts the machine of its feed, once."""
