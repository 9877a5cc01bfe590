"""The entry point of an evaluation job."""

from __future__ import annotations

import os

from jobs import runtime
from jobs.evaluation.job import evaluate


def main() -> None:
    """Evaluate the model of the processing inputs; MILLRACE_CHAMPION_VERSION names the champion among them."""
    places = runtime.ProcessingPlaces(root=runtime.ml_root())
    evaluate(places, champion_version=os.environ.get("MILLRACE_CHAMPION_VERSION", "unknown"))


if __name__ == "__main__":
    runtime.run(main)
