"""The entry point of a preflight."""

from __future__ import annotations

import os

from millrace.jobs import runtime
from millrace.jobs.preflight.job import check_version
from millrace.jobs.preflight.settings import PreflightSettings


def main() -> None:
    """Serve the version of the processing inputs and compare its answers. The settings say which version it is."""
    check_version(runtime.ProcessingPlaces(root=runtime.ml_root()), PreflightSettings.read(os.environ))


if __name__ == "__main__":
    runtime.run(main)
