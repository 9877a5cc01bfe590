"""The version that a release is about: its package, its signature, and what people have said about it."""

from __future__ import annotations

import boto3

from millrace.aws.objects import read_object
from millrace.errors import ArtefactError
from millrace.evaluation.report import EVALUATION_FILE
from millrace.functions.room import WorkloadRoom
from millrace.functions.start_release.request import rule_answer
from millrace.messages.audit import AuditEvent, VersionDecided
from millrace.messages.envelope import StepInput
from millrace.messages.release import ReleaseInput
from millrace.release.promotion import PromotionVerdict, check_proven, outcome_of, rollback_target, verdict_of
from millrace.release.registry import APPROVED, Package, Registry
from millrace.release.signatures import SigningKey, check_signature, is_signed
from millrace.settings.release import ReleaseSettings
from millrace.state.pointers import Pointers


class Versions:
    """The versions of one workload in the registry."""

    def __init__(self, room: WorkloadRoom[ReleaseSettings], registry: Registry) -> None:
        self._room, self._names, self._registry = room, room.names, registry
        self._s3, self._key = (
            boto3.client("s3"),
            SigningKey(boto3.client("kms"), self._names.platform.signing_key_alias),
        )

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
        is_new = outcome_of(pointers, package.version, turn="open") == "open"
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
