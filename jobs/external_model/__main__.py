"""The entry point of the job of an external model."""

from __future__ import annotations

import os

from millrace.jobs import runtime
from millrace.jobs.external_model.job import make_archive


def main() -> None:
    """Make an archive of the model in the processing inputs. MILLRACE_EXTERNAL_DIGEST says which model it must be."""
    places = runtime.ProcessingPlaces(root=runtime.ml_root())
    make_archive(places, approved=os.environ.get("MILLRACE_EXTERNAL_DIGEST", ""))


if __name__ == "__main__":
    runtime.run(main)
