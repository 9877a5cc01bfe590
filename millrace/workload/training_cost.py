"""The machine time of one run of the machine `train`: a training or the packing of an external model, then the
evaluation."""

from __future__ import annotations

from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage, projected_usd
from millrace.workload.schedule import DAYS, times_a_month

EVALUATION_MINUTES = 30
"""The evaluation job is stopped after this time."""
EXTERNAL_MINUTES = 30
"""The job that packs an external model is stopped after this time."""
PREFLIGHT_MINUTES, MONITOR_MINUTES = 20, 60
"""The job of a release and that of a monitor are stopped after these times.

A preflight starts the container twice, as an endpoint and as a transform job do. Each start may take eight minutes."""
TRAININGS = 2
"""The most training jobs of one run. If the instance of the first job dies, a second job follows.

It goes on from the last checkpoint, or begins anew if there is none. A job writes a checkpoint every ten seconds, and
one when it is told to stop."""


def usages(workload: Workload, stage: str, *, is_external: bool = False, is_pulled: bool = False) -> tuple[Usage, ...]:
    """The usage of every job of a run, each as long as it may take.

    The evaluation runs on the instance type of the endpoint, so that it measures the latency that counts. An external
    model is not trained; a job on the same instance type packs it. A pulled version takes neither. Raises KeyError if
    the workload names no instance for the stage."""
    training, serving = workload.training, workload.rollout.instance[stage]
    trained = Usage(
        instance=training.instance[stage],
        count=training.instances,
        minutes=TRAININGS * training.max_runtime_minutes,
    )
    archived = Usage(instance=serving, count=1, minutes=EXTERNAL_MINUTES)
    evaluated = Usage(instance=serving, count=1, minutes=EVALUATION_MINUTES)
    return (evaluated,) if is_pulled else (archived if is_external else trained, evaluated)


def longest_hours(workload: Workload) -> float:
    """The time in hours after which a training run has certainly ended."""
    # Each training job may wait for capacity as long as it may run, hence the 2. The last day is for a redrive.
    return (2 * TRAININGS * workload.training.max_runtime_minutes + EVALUATION_MINUTES) / 60 + 24


def trainings_a_month(workload: Workload, stage: str) -> tuple[float, str]:
    """The most trainings of an average month, and the key of the declaration that allows no more."""
    policy = workload.retraining
    allowed = {
        "retraining.maximum_runs_per_month": policy.maximum_runs_per_month,
        "retraining.cool_down_days": DAYS / max(policy.cool_down_days, 1 / DAYS),
        "budget.monthly_usd": workload.budget.monthly_usd // projected_usd(usages(workload, stage)),
    }
    if not policy.alarms:
        allowed["retraining.schedule"] = times_a_month(policy.schedule) if policy.schedule else 0
    key = min(allowed, key=lambda name: allowed[name])
    return allowed[key], key
