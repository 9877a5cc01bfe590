"""What became of the requests of a canary, counted from the decisions on them.

A request is drawn by its id (`CanaryVersion.draws`). The version answers it; if it fails, the live version does, and
the decision still has the phase `canary`:

    phase canary, by the version         answered
    phase canary, by the live version    failed
    phase live, by the live version      what the latency is compared with

Rows of one request have one time and one latency, so they count once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from millrace.decisions.record import Decision
from millrace.messages.climb import Climb
from millrace.release.ladder import LEVELS, Traffic

LEAST_TIMED = 200
"""So many requests of the live version say which latencies are slow. No request counts as slow before."""


@dataclass(frozen=True, kw_only=True)
class Requests:
    """The requests that either version has answered."""

    challenger: Traffic
    live: Traffic


NO_REQUESTS = Requests(challenger=Traffic(), live=Traffic())


@dataclass(frozen=True, kw_only=True)
class SlowAbove:
    """The live version's latency at LEVELS, and the moment from which requests are compared with it."""

    at: datetime
    ms: Mapping[float, float]


def slow_above(decisions: Iterable[Decision], *, champion: str) -> SlowAbove | None:
    """What is slow, by the first LEAST_TIMED requests that the live version has answered; None while there are fewer.

    It is the same however often it is asked for, since decisions have one order."""
    times = sorted(_requests(one for one in decisions if _is_live(one, champion)))
    if len(times) < LEAST_TIMED:
        return None
    first = times[:LEAST_TIMED]
    latencies = sorted(latency for _, latency in first)
    ms = {level: latencies[min(math.ceil(level * LEAST_TIMED), LEAST_TIMED) - 1] for level in LEVELS}
    return SlowAbove(at=first[-1][0], ms=ms)


def newest(decisions: Iterable[Decision]) -> datetime | None:
    """When the newest request was decided; None if there is none."""
    return max((at for at, _ in _requests(decisions)), default=None)


def of_climb(decisions: Iterable[Decision], climb: Climb) -> Requests:
    """The requests since the canary began."""
    began = max(climb.since, climb.decided_before or climb.since)
    since = [one for one in decisions if one.inferred_at > began]
    slow = slow_above(since, champion=climb.champion)
    return count(since, slow, champion=climb.champion, version=climb.version)


def count(decisions: Iterable[Decision], slow: SlowAbove | None, *, champion: str, version: str) -> Requests:
    """The requests that were decided in the canary."""
    decisions = list(decisions)
    answered = _requests(one for one in decisions if one.phase == "canary" and one.model_version == version)
    failed = _requests(one for one in decisions if one.phase == "canary" and one.model_version == champion)
    live = _requests(one for one in decisions if _is_live(one, champion))
    challenger = _traffic(answered, slow, errors=len(failed))
    return Requests(challenger=challenger, live=_traffic(live, slow))


def _is_live(decision: Decision, champion: str) -> bool:
    return decision.phase == "live" and decision.model_version == champion


def _requests(decisions: Iterable[Decision]) -> set[tuple[datetime, float]]:
    """Time and latency of each request; rows of a file have no latency and are left out."""
    return {(one.inferred_at, one.latency_ms) for one in decisions if one.source != "batch"}


def _traffic(answered: set[tuple[datetime, float]], slow: SlowAbove | None, *, errors: int = 0) -> Traffic:
    times = [latency for at, latency in answered if slow and at > slow.at]
    return Traffic(
        requests=len(answered) + errors,
        errors=errors,
        timed=len(times),
        slow={level: sum(time > bound for time in times) for level, bound in slow.ms.items()} if slow else {},
    )
