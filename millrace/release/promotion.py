"""The rules of a release: how the pointers move, what a smoke test proves. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from millrace.errors import ConflictError, OvertakenError
from millrace.evaluation.agreement import TOLERANCE, largest_difference
from millrace.evaluation.report import why_outdated
from millrace.evaluation.sample import Sample
from millrace.messages.release import ReleaseOutcome, SmokeTested, Turn
from millrace.state.pointers import Pointers, Version
from millrace.workload.rollout import Phase

APPROVED = "Approved"
"""The registry's status of a version that went live."""
ROLLBACK_PHASES: tuple[Phase, ...] = ("live",)
"""A version that was live once returns in one step, without canary; its smoke test and the release's alarms still
apply."""
NONE = "none"
"""In place of a version's number, where no version was live."""
LEASE_DAYS = 60
"""Longer than the machine may take; the lease is freed at its end in any case."""


def outcome_of(pointers: Pointers, version: str, *, turn: Turn) -> ReleaseOutcome:
    """`done` when this version or a newer one is or was live (a repeated or late event), else whose turn it is.

    A version that was rolled back stays so: only a person brings it back."""
    # Versions are compared as numbers: as text, 9 would be newer than 10.
    if pointers.newest >= int(version):
        return "done"
    return turn


def promote(pointers: Pointers, version: Version, *, replaced: str) -> Pointers:
    """The pointers with `version` live and `replaced` as previous, NONE before the first; twice changes nothing.

    Raises OvertakenError when a newer version is or was live, or another one than `replaced` is: an old release that
    was redriven must not win, nor one that was rolled back or compared with another."""
    champion = pointers.champion
    if champion is not None and champion.package_arn == version.package_arn:
        return pointers
    if champion is not None and (newest := pointers.newest) >= int(version.version):
        raise OvertakenError(f"release of version {version.version}: version {newest} is live already, or was")
    came = champion.version if champion else NONE
    if came != replaced:
        raise OvertakenError(f"release of version {version.version}: expected {replaced} live as it began, got {came}")
    return pointers.with_live(version)


def rollback_target(pointers: Pointers, wanted: str | None, *, restores: bool = False) -> str:
    """The number of the version that a rollback brings back: the requested one, else the previous one.

    One that `restores` brings the live version's own endpoint back. Raises ConflictError when nothing is live, there is
    no previous version, or the version is live already."""
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


def check_proven(version: str, approval: str) -> None:
    """Raise ConflictError for a version that was never live: a rollback returns to a proven one."""
    if approval != APPROVED:
        message = f"expected a version that was live ({APPROVED}), version {version} is {approval}"
        raise ConflictError(f"roll back: {message}")


def roll_back(pointers: Pointers, version: Version, *, replaced: str) -> Pointers:
    """The pointers with an earlier version live again and `replaced` as previous; twice changes nothing.

    Raises OvertakenError when another version than `replaced` is live: an old rollback that was redriven must not
    undo what came since."""
    champion = pointers.champion
    if champion is not None and champion.package_arn == version.package_arn:
        # A restored endpoint serves the same version as a model made anew: batch scoring takes that one too.
        return replace(pointers, champion=version)
    if champion is None or champion.version != replaced:
        came = champion.version if champion else "none"
        raise OvertakenError(f"roll back to version {version.version}: expected version {replaced} live, got {came}")
    return pointers.with_live(version)


def outdated_by(pointers: Pointers, *, beside: str, approval: str) -> str:
    """What is wrong where another version is live than the one that a version was evaluated beside; else empty.

    `beside` is as the registry keeps it: a number, NONE, or empty for a version from before it was kept. A version that
    was live is proven: where the pointers were lost it comes back."""
    if not beside or (pointers.champion is None and approval == APPROVED):
        return ""
    live = pointers.champion.version if pointers.champion else ""
    return why_outdated("" if beside == NONE else beside, live)


@dataclass(frozen=True, kw_only=True)
class SampleAnswers:
    """What an endpoint answered to the rows of a sample."""

    model_version: str
    answers: tuple[Mapping[str, Any], ...]


def judge_smoke_test(came: SampleAnswers, sample: Sample, *, version: str) -> SmokeTested:
    """Passed when the right version answered every row within TOLERANCE; no rows at all is no proof."""
    expected, largest = sample.answers, largest_difference(came.answers, sample.answers)
    problems = [
        problem
        for problem, found in (
            (f"expected version {version}, version {came.model_version} answered", came.model_version != version),
            (f"expected {len(expected)} answers, got {len(came.answers)}", len(came.answers) != len(expected)),
            ("expected rows to ask, there are none", not expected),
            (f"largest difference {largest:.2e}, at most {TOLERANCE:.0e} allowed", TOLERANCE < largest < math.inf),
            ("an answer has another text, or a number is missing", math.isinf(largest)),
        )
        if found
    ]
    fine = f"{len(expected)} real rows answered within {TOLERANCE:.0e} by version {version}"
    return SmokeTested(
        passed=not problems,
        rows=min(len(came.answers), len(expected)),
        maximum_difference=largest if math.isfinite(largest) else None,
        sentence="; ".join(problems) or fine,
    )
