"""The entry point of a training job."""

from __future__ import annotations

from jobs import runtime
from jobs.training.job import train


def main() -> None:
    """Train the workload of the config channel on the rows of the data channel."""
    places = runtime.TrainingPlaces(root=runtime.ml_root())
    train(places, runtime.StopSignal())


if __name__ == "__main__":
    runtime.run(main)
