"""What one training run of a workload uses: the training job and the evaluation job."""

from __future__ import annotations

from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage, projected_usd
from millrace.workload.tuning import tuning_usd

EVALUATION_MINUTES = 30
"""The evaluation job is stopped after this long."""
ADOPTION_MINUTES = 30
"""The job that takes in a model of elsewhere is stopped after this long."""
TRAININGS = 2
"""Training jobs of one run at most: one whose instance died is followed by another.

It goes on from the last checkpoint (one every ten seconds, and one when the job is told to stop), or begins anew where
there is none yet."""


def usages(workload: Workload, stage: str, *, brought: bool = False) -> tuple[Usage, ...]:
    """Every job at its longest; raises KeyError for a stage that the workload names no instance for.

    A model that was `brought` needs no training: a job on the instance that serves takes it in.

    The evaluation runs on the instance that serves, so that the latency it measures is the one that counts."""
    training, serving = workload.training, workload.rollout.instance[stage]
    trained = Usage(
        instance=training.instance[stage],
        count=training.instances,
        minutes=TRAININGS * training.max_runtime_minutes,
    )
    adopted = Usage(instance=serving, count=1, minutes=ADOPTION_MINUTES)
    return (adopted if brought else trained, Usage(instance=serving, count=1, minutes=EVALUATION_MINUTES))


def usd_by_hand(workload: Workload, stage: str, *, is_tuning: bool) -> float | None:
    """What the declared tuning, or one experiment, costs at most in this stage; None where no tuning is declared."""
    training = workload.training
    instance, minutes = training.instance[stage], training.max_runtime_minutes
    if not is_tuning:
        return projected_usd([Usage(instance=instance, count=training.instances, minutes=minutes)])
    if workload.tuning is None:
        return None
    return tuning_usd(workload.tuning, instance=instance, instances=training.instances, max_minutes=minutes)


def longest_hours(workload: Workload) -> float:
    """After this long a training run has certainly ended: all jobs, waiting for capacity and a day for a redrive."""
    return (2 * TRAININGS * workload.training.max_runtime_minutes + EVALUATION_MINUTES) / 60 + 24
