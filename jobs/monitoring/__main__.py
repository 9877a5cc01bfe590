"""The entry point of a drift job."""

from __future__ import annotations

from millrace.jobs import runtime
from millrace.jobs.monitoring.job import monitor


def main() -> None:
    """Judge the windows of the request in the config input."""
    monitor(runtime.ProcessingPlaces(root=runtime.ml_root()))


if __name__ == "__main__":
    runtime.run(main)
