"""`python -m console.cli` is `millrace`."""

from console.cli.app import run

run()
