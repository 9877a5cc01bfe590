"""The server, the clock, the threads and the processes: what every service of the local cloud uses."""
