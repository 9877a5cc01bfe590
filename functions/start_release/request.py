"""The label of a release, and the answer of `start_release`."""

from __future__ import annotations

import hashlib

from functions.start_release.endpoints import Standing
from millrace.errors import ArtefactError
from millrace.messages.release import ReleaseOutcome, ReleaseStarted
from millrace.release.promotion import NONE
from millrace.release.registry import Package
from millrace.state.pointers import Pointers
from millrace.workload.rollout import Phase


def label_of(version: str, execution_arn: str) -> str:
    """The middle part of the names of the release's models and configurations: `v2-1f0e4a`.

    It is another one for each execution, so a second release of a version does not collide with the first."""
    return f"v{version}-{hashlib.sha256(execution_arn.encode()).hexdigest()[:6]}"


def started(
    package: Package,
    pointers: Pointers,
    *,
    label: str,
    phases: tuple[Phase, ...],
    outcome: ReleaseOutcome,
    refusal: str,
    live: Standing,
    challenger: Standing,
) -> ReleaseStarted:
    """The answer, which later states of the machine read.

    Raises ArtefactError if the package lacks a digest by which the container and the monitors check its files."""
    return ReleaseStarted(
        outcome=outcome,
        label=label,
        has_canary="canary" in phases,
        package_arn=package.arn,
        version=package.version,
        run_name=package.metadata["run"],
        image=package.image,
        model_data_url=package.model_data_url,
        model_digest=_digest(package, "model_digest"),
        baseline_digest=_digest(package, "baseline_digest"),
        sample_digest=package.metadata.get("sample_digest", ""),
        previous_version=pointers.champion.version if pointers.champion else NONE,
        refusal=refusal,
        has_live=live == "in_service",
        has_challenger=challenger == "in_service",
    )


def _digest(package: Package, name: str) -> str:
    if not (found := package.metadata.get(name, "")):
        advice = "a version from before digests were kept is not served: train a new one"
        raise ArtefactError(f"{package.arn}: metadata: expected {name}, got none; {advice}")
    return found
