"""The entry point of a training job."""

from __future__ import annotations

import sys

from millrace.jobs import runtime


def main() -> None:
    """Train the workload of the config channel on the rows of the data channel, on all GPUs of all machines.

    With the argument `try` train several candidates for a short time instead, and leave no model; with `history` train
    the versions of earlier days, and leave their errors."""
    # The handler comes first: the kernel drops a signal for which a container's first process has no handler, and torch
    # takes seconds to load.
    stop = runtime.StopSignal()
    from millrace.jobs.training import launch, processes
    from millrace.jobs.training.job import train

    places = runtime.TrainingPlaces(root=runtime.ml_root())
    if sys.argv[1:] == ["try"]:
        from millrace.jobs.training.trial import run_trial

        run_trial(places, stop)
        return
    if sys.argv[1:] == ["history"]:
        from millrace.jobs.training.history import write_history

        write_history(places, stop)
        return
    cluster = launch.cluster_of(places.hosts)
    # Torchrun starts this entry point once more for each process; those train.
    if cluster.size > 1 and not processes.is_started():
        launch.run(cluster, stop)
        return
    stop.check("before the first step")
    with processes.joined() as together:
        train(places, stop, together)


if __name__ == "__main__":
    runtime.run(main)
