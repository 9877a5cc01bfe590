"""What one run of the machine `train` uses: a training, or the job that takes in a model, and the evaluation."""

from __future__ import annotations

from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage

EVALUATION_MINUTES = 30
"""The evaluation job is stopped after this long."""
EXTERNAL_MINUTES = 30
"""The job that makes the archive of an external model is stopped after this long."""
TRAININGS = 2
"""Training jobs of one run at most: one whose instance died is followed by another.

It goes on from the last checkpoint (one every ten seconds, and one when the job is told to stop), or begins anew where
there is none yet."""


def usages(workload: Workload, stage: str, *, is_external: bool = False) -> tuple[Usage, ...]:
    """Every job at its longest; raises KeyError for a stage that the workload names no instance for.

    An external model needs no training: a job on the instance that serves makes its archive.

    The evaluation runs on the instance that serves, so that the latency it measures is the one that counts."""
    training, serving = workload.training, workload.rollout.instance[stage]
    trained = Usage(
        instance=training.instance[stage],
        count=training.instances,
        minutes=TRAININGS * training.max_runtime_minutes,
    )
    archived = Usage(instance=serving, count=1, minutes=EXTERNAL_MINUTES)
    return (archived if is_external else trained, Usage(instance=serving, count=1, minutes=EVALUATION_MINUTES))


def longest_hours(workload: Workload) -> float:
    """After this long a training run has certainly ended: all jobs, waiting for capacity and a day for a redrive."""
    return (2 * TRAININGS * workload.training.max_runtime_minutes + EVALUATION_MINUTES) / 60 + 24
