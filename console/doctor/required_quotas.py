"""Quotas that the workloads need: SageMaker instances by kind of use, at least and at most at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from console.stages import declared_stages
from millrace.settings.intake import IntakeSettings
from millrace.workload.declaration import Workload

PROCESSING = {"train": "evaluates", "monitor": "watches", "release": "starts a version before its release"}
"""What each machine does in a processing job, one at a time."""
SCORING: int = IntakeSettings.model_fields["slots"].default
"""Runs of `score` at once, each with one transform job."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Instances of one type for one kind of use."""

    quota: str
    """The name that Service Quotas has for it."""
    least: int
    """Without so many, something that the workloads declare cannot run at all."""
    most: int
    """So many are in use when everything that may run at once does."""
    reason: str


def required_instances(workloads: Iterable[Workload], stage: str) -> tuple[Need, ...]:
    """What all workloads need together, by quota.

    Raises KeyError for a stage that a workload names no instance for. A workload trains once at a time. One run each
    of `train`, `monitor` and `release` has a processing job, at most beside each other; each run of `score` with a slot
    has a transform job. An update of the endpoint has a second fleet and a challenger beside the first."""
    found: dict[str, list[Need]] = defaultdict(list)
    for workload in workloads:
        for need in _of(workload, stage):
            found[need.quota].append(need)
    return tuple(_together(quota, required) for quota, required in sorted(found.items()))


def _of(workload: Workload, stage: str) -> tuple[Need, ...]:
    rollout, name = workload.rollout, workload.name
    training, serving = workload.training.instance[stage], rollout.instance[stage]
    use = "spot training job" if stage != "local" else "training job"
    fleets = f"two fleets of {rollout.min_instances} to {rollout.max_instances} in an update, and the challenger"
    return (
        Need(
            quota=f"{training} for {use} usage",
            least=workload.training.instances,
            most=workload.training.instances,
            reason=f"{name} trains",
        ),
        Need(
            quota=f"{serving} for processing job usage",
            least=1,
            most=len(PROCESSING),
            reason=f"{name} {', '.join(PROCESSING.values())}",
        ),
        Need(
            quota=f"{serving} for transform job usage",
            least=1,
            most=SCORING,
            reason=f"{name} scores files, {SCORING} runs at once",
        ),
        Need(
            quota=f"{serving} for endpoint usage",
            least=2 * rollout.min_instances + 1,
            most=2 * rollout.max_instances + 1,
            reason=f"{name}: {fleets}",
        ),
    )


def _together(quota: str, required: list[Need]) -> Need:
    """Jobs can run one after the other; endpoints run at the same time."""
    stands = quota.endswith("endpoint usage")
    return Need(
        quota=quota,
        least=sum(need.least for need in required) if stands else max(need.least for need in required),
        most=sum(need.most for need in required),
        reason="; ".join(need.reason for need in required),
    )


def declared_provisioned(stage: str) -> int:
    """Prediction functions of a workload that the stage keeps started, by `prediction_starts` of `cdk.json`."""
    starts = declared_stages().get(stage, {}).get("prediction_starts") or {}
    return int(starts.get("provisioned", 0))
