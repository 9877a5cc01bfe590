"""The label of a release, and the answer of `start_release`."""

from __future__ import annotations

import hashlib
import json

from millrace.artefact.artefact import digest
from millrace.errors import ArtefactError
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.functions.start_release.endpoints import Standing
from millrace.messages.release import ReleaseOutcome, ReleaseStarted
from millrace.release.promotion import NONE
from millrace.release.registry import Package
from millrace.release.signatures import automation_digest
from millrace.state.pointers import Pointers
from millrace.workload.rollout import PHASES, Phase


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
    label: str,
    phases: tuple[Phase, ...],
    outcome: ReleaseOutcome,
    refusal: str,
    live: Standing,
    challenger: Standing,
    rule_answer: str,
    approval_hours: float,
    sleeping_config: str,
    keeps_warm: bool,
) -> ReleaseStarted:
    """The answer, which later states of the machine read.

    Raises ArtefactError if the package lacks a digest by which the container and the monitors check its files, and if
    the confidence from which its answers act is not the signed one."""
    _check_automation(package)
    beside = live == "in_service" and pointers.champion is not None
    return ReleaseStarted(
        outcome=outcome,
        label=label,
        **{f"has_{one}": one in phases and beside for one in PHASES if one != "live"},
        has_warm=keeps_warm and beside,
        package_arn=package.arn,
        version=package.version,
        run_name=package.metadata["run"],
        image=package.image,
        model_data_url=package.model_data_url,
        model_digest=_digest(package, "model_digest"),
        baseline_digest=_digest(package, "baseline_digest"),
        promised_error=package.metadata.get("promised_error", ""),
        automate_from=package.metadata.get("automate_from", ""),
        costs_digest=package.metadata.get("costs_digest", ""),
        rule_answer=rule_answer,
        sample_digest=package.metadata.get("sample_digest", ""),
        previous_version=pointers.champion.version if pointers.champion else NONE,
        refusal=refusal,
        approval_hours=approval_hours,
        sleeping_config=sleeping_config,
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
        advice = "a version from before digests were kept is not served: train a new one"
        raise ArtefactError(f"{package.arn}: metadata: expected {name}, got none; {advice}")
    return found
