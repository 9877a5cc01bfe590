"""Quotas that the workloads require: SageMaker instances by type and kind of use, the least and the most at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from millrace.console.stages import declared_stages, is_production
from millrace.settings.intake import IntakeSettings
from millrace.workload.declaration import Workload

PROCESSING = {"train": "evaluates", "monitor": "watches", "release": "starts a version before its release"}
"""Machines with a processing job and what the job does there. Each machine has one such job at a time."""
SCORING: int = IntakeSettings.model_fields["slots"].default
"""How many runs of `score` go at once, each with one transform job."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """How many instances of one type are required for one kind of use."""

    quota: str
    """The quota's name in Service Quotas, for example `ml.m5.large for processing job usage`."""
    least: int
    """With fewer instances, a part of what the workloads declare cannot run at all."""
    most: int
    """So many instances are in use when everything runs that may run at the same time."""
    reason: str


def required_instances(workloads: Iterable[Workload], stage: str) -> tuple[Need, ...]:
    """What all workloads require together, by quota.

    A workload has one training at a time. `train`, `monitor` and `release` have one processing job each, at most all
    three at once. Each run of `score` that has a slot has a transform job. While an endpoint is updated it has two
    fleets and a challenger.
    Raises KeyError if a workload declares no instance for the stage."""
    found: dict[str, list[Need]] = defaultdict(list)
    for workload in workloads:
        for need in _of(workload, stage):
            found[need.quota].append(need)
    return tuple(_together(quota, required) for quota, required in sorted(found.items()))


def _of(workload: Workload, stage: str) -> tuple[Need, ...]:
    """What one workload requires."""
    rollout, name = workload.rollout, workload.name
    least, most = rollout.least_instances(production=is_production(stage)), rollout.max_instances
    training, serving = workload.training.instance[stage], rollout.instance[stage]
    fleets = f"two fleets of {least} to {most} in an update, and the challenger"
    return (
        Need(
            quota=f"{training} for spot training job usage",
            least=0,
            most=workload.training.instances,
            reason=f"{name} trains",
        ),
        Need(
            quota=f"{training} for training job usage",
            least=workload.training.instances,
            most=workload.training.instances,
            reason=f"{name} trains on demand when no spot instance comes",
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
            # Two fleets during an update, and one instance for the challenger.
            least=2 * least + 1,
            most=2 * most + 1,
            reason=f"{name}: {fleets}",
        ),
    )


def _together(quota: str, required: list[Need]) -> Need:
    """What all workloads require of one quota. The least is the largest of the workloads for jobs, which can run one
    after another; for endpoints it is the sum, since they run at the same time."""
    # An endpoint stands all the time, so the instances of all workloads add up.
    stands = quota.endswith("endpoint usage")
    return Need(
        quota=quota,
        least=sum(need.least for need in required) if stands else max(need.least for need in required),
        most=sum(need.most for need in required),
        reason="; ".join(need.reason for need in required),
    )


def declared_aside(stage: str) -> int:
    """How much of Lambda's concurrency the stage sets aside for the prediction function of each workload.

    It is `prediction_reserved` in `cdk.json`, of which `prediction_starts` keeps a part started; else that part."""
    options = declared_stages().get(stage, {})
    return int(options.get("prediction_reserved") or (options.get("prediction_starts") or {}).get("provisioned", 0))
