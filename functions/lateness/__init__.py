"""Whether rows and labels come as late as agreed, once a day."""
