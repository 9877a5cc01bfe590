"""The rules of a release: how the release pointers move, and what a smoke test proves. Nothing here calls AWS.

An example, in order of time:

    version 1 is released        champion 1, highest 1
    version 2 is released        champion 2, previous 1, highest 2
    a person rolls back to 1     champion 1, previous 2, highest 2
    version 2's event is late    `done`: version 2 was live before, and only a person brings it back
    version 3 is released        champion 3, previous 1, highest 3
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from millrace.errors import ConflictError, OvertakenError
from millrace.evaluation.agreement import TOLERANCE, first_disagreement
from millrace.evaluation.report import why_outdated
from millrace.evaluation.sample import Sample
from millrace.messages.envelope import Message
from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.release import ModelState, ReleaseInput, ReleaseOutcome, SmokeTested, Turn
from millrace.names import WorkloadNames
from millrace.release.askers import NOBODY, UNKNOWN
from millrace.release.registry import PENDING, REJECTED, Package
from millrace.state.callers import owner_of
from millrace.state.pointers import Pointers, Version
from millrace.workload.rollout import Approval, Phase

ROLLBACK_PHASES: tuple[Phase, ...] = ("live",)
"""The phases of a rollback: one step without a canary, since the version was live before.

The smoke test and the release's alarms are the same as in every release."""
NONE = "none"
"""Stands in place of a version's number if no version was live."""
CENTRAL = ":assumed-role/AWSReservedSSO_"
"""In the ARN of a session of IAM Identity Center."""
LEASE_DAYS = 90
"""After this time the lease `release` ends. The machine may take less, and `cleanup` frees the lease at its end."""


def opening(
    given: ReleaseInput,
    package: Package,
    pointers: Pointers,
    verdict: PromotionVerdict,
    *,
    turn: Turn,
    is_served: bool,
) -> tuple[ReleaseOutcome, str]:
    """What a release does next, and why its version is refused or outdated, for a person.

    `is_served` says that a version to be restored is served already."""
    if verdict.refusal:
        return "refused", verdict.refusal
    if verdict.waits:
        return "unapproved", ""
    if given.rollback:  # compared with nothing: it brings back a version that was live
        if turn != "open":
            return turn, ""
        return "done" if is_served else "open", ""
    # The event is repeated or late. A version that was rolled back is not released again: only a person brings it back.
    if not pointers.is_new(package.version):
        return "done", ""
    if turn != "open":
        return turn, ""
    if refusal := outdated_by(pointers, beside=package.metadata.get("beside", ""), was_live=package.was_live):
        return "outdated", refusal
    return "open", ""


def version_of(state: ModelState, names: WorkloadNames) -> Version:
    """The version that a release releases, in the form that the release pointers store."""
    release = state.start_release.answer
    return Version(
        model_name=state.model.name,
        run=release.run_name,
        baseline_uri=names.run_uri(release.run_name, BASELINE_FILE),
        **release.model_dump(include={field.name for field in fields(Version)}),
    )


def promote(pointers: Pointers, version: Version, *, replaced: str) -> Pointers:
    """The pointers with `version` as champion and the champion so far as previous. A second call changes nothing.

    `replaced` is the number of the version that was live when the release began, NONE before the first release. Raises
    OvertakenError if a newer version is or was live, or if another version than `replaced` is live now. So an old
    release that is redriven cannot win, nor one whose version was rolled back or compared with another version."""
    champion = pointers.champion
    if champion is not None and champion.package_arn == version.package_arn:
        return pointers
    # `newest` includes versions that were rolled back.
    if champion is not None and (newest := pointers.newest) >= int(version.version):
        raise OvertakenError(f"release of version {version.version}: version {newest} is live already, or was")
    came = champion.version if champion else NONE
    if came != replaced:
        raise OvertakenError(f"release of version {version.version}: expected {replaced} live as it began, got {came}")
    return pointers.with_live(version)


def rollback_target(pointers: Pointers, wanted: str | None, *, restores: bool = False) -> str:
    """The number of the version that a rollback brings back: the version `wanted`, else the previous one.

    With `restores` it is the live version, whose endpoint is to serve it again. Raises ConflictError if no version is
    live, if there is no previous version, or if the version is live already."""
    if pointers.champion is None:
        raise ConflictError("roll back: expected a live version, there is none")
    if restores:
        return pointers.champion.version
    target = wanted or (pointers.previous.version if pointers.previous else None)
    if target is None:
        raise ConflictError(f"roll back: expected a version before {pointers.champion.version}, there is none")
    if target == pointers.champion.version:
        raise ConflictError(f"roll back: expected a version that is not live, got {target}, which is")
    return target


def check_proven(package: Package, pointers: Pointers) -> None:
    """Raise ConflictError if the version was never live: a rollback returns to a proven version only."""
    if not package.was_live or int(package.version) > pointers.newest:
        raise ConflictError(f"roll back: expected a version that was live, version {package.version} never was")
    check_not_refused(package)


def check_not_refused(package: Package) -> None:
    """Raise ConflictError if a person has refused the version."""
    if package.approval == REJECTED:
        said = f"{package.changed_by or 'somebody'}: {package.said or 'without a reason'}"
        raise ConflictError(f"version {package.version}: expected one that nobody has refused, it was, by {said}")


def is_same_person(one: str, other: str) -> bool:
    """Whether two identities may be the same person. Whoever takes a role names his sessions himself.

    IAM Identity Center names the sessions of its roles by their users:
    https://docs.aws.amazon.com/singlesignon/latest/userguide/using-service-linked-roles.html"""
    if CENTRAL in one and CENTRAL in other:
        return one == other
    return owner_of(one) == owner_of(other)


def objection_to(who: str, *, own_roles: str, asked_by: str) -> str:
    """Why this identity may not approve a version, for a person; empty if it may.

    `asked_by` is the identity that started its training, NOBODY or UNKNOWN. One whom nobody knows may be the one who
    approves, so nobody may. `own_roles` is what the ARNs of the roles of the workload's own functions begin with: they
    approve nothing in a person's place."""
    if not who or who.startswith(own_roles):
        return f"expected a person to approve it, {who or 'nobody whom SageMaker names'} did"
    if asked_by == UNKNOWN:
        return "nobody knows who asked for its training, CloudTrail has no event of its start: train again"
    if asked_by != NOBODY and is_same_person(who, asked_by):
        return f"expected another person than who asked for its training to approve it, {asked_by} did"
    return ""


def verdict_of(package: Package, *, approval: Approval, own_roles: str) -> PromotionVerdict:
    """Whether a version that was never live may be released, by who has approved it (`objection_to`)."""
    if package.refusal:
        return PromotionVerdict(refusal=package.refusal)
    if approval == "none":
        return PromotionVerdict()
    if package.approval == PENDING:
        return PromotionVerdict(waits=True)
    if objection := objection_to(package.changed_by, own_roles=own_roles, asked_by=package.asked_by):
        return PromotionVerdict(refusal=objection)
    return PromotionVerdict(approved_by=package.changed_by)


def roll_back(pointers: Pointers, version: Version, *, replaced: str) -> Pointers:
    """The pointers with an earlier version as champion and the champion so far as previous.

    A second call changes nothing. Raises OvertakenError if another version than `replaced` is live: an old rollback
    that is redriven must not undo what came since."""
    champion = pointers.champion
    if champion is not None and champion.package_arn == version.package_arn:
        # A restored endpoint serves the same version by a new SageMaker model. The pointers name the new model, so that
        # batch scoring uses it too.
        return replace(pointers, champion=version)
    if champion is None or champion.version != replaced:
        came = champion.version if champion else "none"
        raise OvertakenError(f"roll back to version {version.version}: expected version {replaced} live, got {came}")
    return pointers.with_live(version)


def outdated_by(pointers: Pointers, *, beside: str, was_live: bool) -> str:
    """The reason why a version is outdated, for a person. Empty if it is not.

    A version is outdated if another version is live now than the one that it was compared with, `beside`. The registry
    has `beside` as a number, as NONE, or empty for a version that was registered before it was kept. A version that was
    live once is not outdated while no version is live: if the pointers were lost, it can come back."""
    if not beside or (pointers.champion is None and was_live):
        return ""
    live = pointers.champion.version if pointers.champion else ""
    return why_outdated("" if beside == NONE else beside, live)


@dataclass(frozen=True, kw_only=True)
class PromotionVerdict:
    """What people have said about a version: it may be released unless it waits or is refused."""

    approved_by: str = ""
    """The identity of the person who has approved it; empty if nobody had to."""
    refusal: str = ""
    """Why it is not released, for a person; empty if nothing is wrong."""
    waits: bool = False
    """Whether a person has to decide first."""


class SampleAnswers(Message):
    """The answers of a challenger to the rows of a sample."""

    model_version: str
    predictions: tuple[dict[str, Any], ...]
    """The fields of the answer for each row. The model's task says which fields there are."""


def judge_smoke_test(came: SampleAnswers, sample: Sample, *, version: str) -> SmokeTested:
    """The verdict on a challenger: passed if the right version answered every row within TOLERANCE.

    A sample without rows does not pass, since it proves nothing."""
    expected = sample.answers
    problems = [
        f"expected version {version}, version {came.model_version} answered" if came.model_version != version else "",
        "" if expected else "expected rows to ask, there are none",
        first_disagreement(came.predictions, expected),
    ]
    fine = f"{len(expected)} real rows answered within {TOLERANCE:.0e} by version {version}"
    return SmokeTested(
        passed=not any(problems),
        rows=min(len(came.predictions), len(expected)),
        sentence="; ".join(filter(None, problems)) or fine,
    )
