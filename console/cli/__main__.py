"""`python -m millrace.console.cli` is `millrace`."""

from millrace.console.cli.app import run

run()
