"""The entry point of an evaluation job."""

from __future__ import annotations

import os

from millrace.jobs import runtime
from millrace.jobs.evaluation.job import evaluate


def main() -> None:
    """Evaluate the model of the processing inputs.

    MILLRACE_CHAMPION_VERSION and MILLRACE_CHAMPION_DIGEST say which version the champion among the inputs is."""
    places = runtime.ProcessingPlaces(root=runtime.ml_root())
    version, digest = (os.environ.get(f"MILLRACE_CHAMPION_{word}", "") for word in ("VERSION", "DIGEST"))
    evaluate(places, champion_version=version or "unknown", champion_digest=digest)


if __name__ == "__main__":
    runtime.run(main)
