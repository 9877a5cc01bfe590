"""The entry point of a training job."""

from __future__ import annotations

from jobs import runtime
from jobs.training import launch, processes
from jobs.training.job import train


def main() -> None:
    """Train the workload of the config channel on the rows of the data channel, on all GPUs of all machines."""
    places, stop = runtime.TrainingPlaces(root=runtime.ml_root()), runtime.StopSignal()
    cluster = launch.cluster_of(places.hosts)
    if cluster.size > 1 and not processes.is_started():
        launch.run(cluster)
        return
    with processes.joined() as together:
        train(places, stop, together)


if __name__ == "__main__":
    runtime.run(main)
