"""The phases and the label of a release, its version with what people have said about it, and the function's answer."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import boto3

from millrace.artefact.artefact import digest
from millrace.aws.objects import read_object
from millrace.errors import ArtefactError, ConflictError
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, VersionDecided
from millrace.messages.envelope import StepInput
from millrace.messages.release import ReleaseInput, ReleaseStarted
from millrace.release.promotion import NONE, PromotionVerdict, check_proven, rollback_target, verdict_of
from millrace.release.registry import APPROVED, Package, Registry
from millrace.release.signatures import SigningKey, automation_digest, check_signature, is_signed
from millrace.settings.release import ReleaseSettings
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


class Versions:
    """The versions of one workload in the registry."""

    def __init__(self, room: WorkloadRoom[ReleaseSettings], registry: Registry) -> None:
        self._room, self._names, self._registry = room, room.names, registry
        self._s3, alias = boto3.client("s3"), self._names.platform.signing_key_alias
        self._key = SigningKey(boto3.client("kms"), alias)

    def find(self, given: ReleaseInput, pointers: Pointers) -> Package:
        """The package that was registered, or the one that a rollback goes back to; its signature is right.

        Raises ConflictError if a rollback has no such version. Raises ArtefactError if the package belongs to another
        workload, and for a signature that is wrong. It may be missing only of the live version, to be restored."""
        if given.rollback:
            target = rollback_target(pointers, given.rollback.to, restores=given.rollback.restores)
            package = self._registry.describe(self._names.package_arn(target))
            check_proven(package, pointers)
        else:
            assert given.detail is not None
            package = self._registry.describe(given.detail.package_arn)
            if f"/{self._names.package_group}/" not in package.arn:
                raise ArtefactError(f"{package.arn}: expected a package of {self._names.package_group}")
        # The live version may have been registered before versions were signed. If it were not restored for that, the
        # endpoint would go on serving a version that was never promoted. A wrong signature is refused in any case.
        restores = given.rollback is not None and given.rollback.restores
        if not restores or is_signed(self._s3, self._names, package):
            check_signature(self._s3, self._key, self._names, package)
        return package

    def verdict(self, call: StepInput[ReleaseInput], package: Package, pointers: Pointers) -> PromotionVerdict:
        """What people have said about the version; kept in the audit, where a repeated call adds nothing."""
        is_new = pointers.is_new(package.version)
        # A version that was live and has no successor is brought back, since the pointers were lost.
        if call.state.rollback or not is_new or (package.was_live and pointers.champion is None):
            return PromotionVerdict()
        settings = self._room.settings
        verdict = verdict_of(package, approval=settings.approval, own_roles=self._names.sessions)
        if verdict.approved_by or verdict.refusal:
            # What a refusal says stands without the words who refused: `by` says that.
            reason = package.said if package.refusal else verdict.refusal or package.said
            details = VersionDecided(version=package.version, by=package.changed_by, reason=reason)
            event = AuditEvent.RELEASE_REFUSED if verdict.refusal else AuditEvent.RELEASE_APPROVED
            self._room.audit(event, details, call)
        if verdict.refusal and package.approval == APPROVED:
            self._registry.reopen(package, reason=verdict.refusal)  # another person may still approve it
        return verdict

    def rule_answer(self, package: Package) -> str:
        """What the naive rule answers in place of the version; empty if the workload does not let it answer."""
        if "rule" not in self._room.workload.prediction.fallback:
            return ""
        uri = self._names.run_uri(package.metadata["run"], "evaluation", EVALUATION_FILE)
        return rule_answer(read_object(self._s3, uri), package)


def rule_answer(evaluation: bytes, package: Package) -> str:
    """What the naive rule answered to every row, as JSON; empty if that depends on the row.

    `evaluation` is the content of `evaluation.json`. Raises ArtefactError if its digest is not the signed one."""
    expected, came = package.metadata.get("evaluation_digest", ""), digest(evaluation)
    if came != expected:
        raise ArtefactError(f"{EVALUATION_FILE}: expected the digest {expected or 'none'} as it was signed, got {came}")
    answer = Evaluation.model_validate_json(evaluation).naive.answer
    return json.dumps(answer) if answer else ""


def started(
    package: Package, pointers: Pointers, phases: tuple[Phase, ...], *, has_live: bool, keeps_warm: bool, **decided: Any
) -> ReleaseStarted:
    """The answer, which later states of the machine read; `decided` are fields of it.

    Raises ArtefactError if the package lacks a digest by which the container and the monitors check its files, and if
    the confidence from which its answers act is not the signed one."""
    _check_automation(package)
    beside = has_live and pointers.champion is not None
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
        has_live=has_live,
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
