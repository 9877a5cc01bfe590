"""`millrace demo`."""

from __future__ import annotations

from console.cli.options import Build


def demo(build: Build) -> None:
    """Deploy the templates into a local cloud and run fourteen months of real data through them.

    Example: millrace demo. It ends with a table, build/demo.json and build/report.html."""
    from console.demo.run import run

    run(build)
