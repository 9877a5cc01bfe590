"""What every service of the local cloud uses: the server, the clock, the threads and the processes."""
