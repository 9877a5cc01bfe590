"""The phases and the label of a release, and the answer of `start_release`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from millrace.artefact.artefact import digest
from millrace.errors import ArtefactError, ConflictError
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.functions.start_release.turns import Standing
from millrace.messages.release import ReleaseInput, ReleaseStarted
from millrace.release.promotion import NONE
from millrace.release.registry import Package
from millrace.release.signatures import automation_digest
from millrace.state.pointers import Pointers
from millrace.workload.rollout import PHASES, Phase


def check_phases(given: ReleaseInput, declared: tuple[Phase, ...]) -> None:
    """Raise ConflictError for the release of a registered version with other phases than the declared ones.

    An input must not skip a phase that watches the version, nor may a release that began before the phase was deployed:
    the machine has no states for it then. A rollback has no phases of its own."""
    expected, came = list(declared), list(given.rollout.phases)
    if given.rollback is None and came != expected:
        advice = "leave rollout out of the input, and start the release again"
        raise ConflictError(f"rollout.phases: expected {expected} as declared and deployed, got {came}; {advice}")


def label_of(version: str, execution_arn: str) -> str:
    """The middle part of the names of the release's models and configurations: `v2-1f0e4a`.

    It is another one for each execution, so a second release of a version does not collide with the first."""
    return f"v{version}-{hashlib.sha256(execution_arn.encode()).hexdigest()[:6]}"


def rule_answer(evaluation: bytes, package: Package) -> str:
    """What the naive rule answered to every row, as JSON; empty if that depends on the row.

    `evaluation` is the content of `evaluation.json`. Raises ArtefactError if its digest is not the signed one."""
    expected, came = package.metadata.get("evaluation_digest", ""), digest(evaluation)
    if came != expected:
        raise ArtefactError(f"{EVALUATION_FILE}: expected the digest {expected or 'none'} as it was signed, got {came}")
    answer = Evaluation.model_validate_json(evaluation).naive.answer
    return json.dumps(answer) if answer else ""


def started(
    package: Package,
    pointers: Pointers,
    *,
    phases: tuple[Phase, ...],
    live: Standing,
    challenger: Standing,
    keeps_warm: bool,
    **decided: Any,
) -> ReleaseStarted:
    """The answer, which later states of the machine read; `decided` are fields of it.

    Raises ArtefactError if the package lacks a digest by which the container and the monitors check its files, and if
    the confidence from which its answers act is not the signed one."""
    _check_automation(package)
    beside = live == "in_service" and pointers.champion is not None
    kept = ("promised_error", "automate_from", "costs_digest", "sample_digest")
    return ReleaseStarted(
        **decided,
        **{f"has_{one}": one in phases and beside for one in PHASES if one != "live"},
        **{name: package.metadata.get(name, "") for name in kept},
        **{name: _digest(package, name) for name in ("model_digest", "baseline_digest")},
        has_warm=keeps_warm and beside,
        package_arn=package.arn,
        version=package.version,
        run_name=package.metadata["run"],
        image=package.image,
        model_data_url=package.model_data_url,
        previous_version=pointers.champion.version if pointers.champion else NONE,
        has_live=live == "in_service",
        has_challenger=challenger == "in_service",
    )


def _check_automation(package: Package) -> None:
    came, signed = automation_digest(package.metadata), package.metadata.get("automation_digest", "")
    if ("promised_error" in package.metadata or "automate_from" in package.metadata) and came != signed:
        expected = "promised_error and automate_from as they were signed"
        raise ArtefactError(f"{package.arn}: metadata: expected {expected}, got others")


def _digest(package: Package, name: str) -> str:
    if not (found := package.metadata.get(name, "")):
        raise ArtefactError(f"{package.arn}: metadata: expected {name}, got none")
    return found
