"""`python -m millrace.cli` is `millrace`."""

from millrace.cli.app import run

run()
