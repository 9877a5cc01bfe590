"""The entry point of an adoption job."""

from __future__ import annotations

import os

from jobs import runtime
from jobs.adoption.job import adopt


def main() -> None:
    """Make an archive of the model in the processing inputs; MILLRACE_BROUGHT_DIGEST says which model that is."""
    places = runtime.ProcessingPlaces(root=runtime.ml_root())
    adopt(places, approved=os.environ.get("MILLRACE_BROUGHT_DIGEST", ""))


if __name__ == "__main__":
    runtime.run(main)
