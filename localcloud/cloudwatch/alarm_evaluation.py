"""Judges an alarm by its data points: OK, ALARM or INSUFFICIENT_DATA, with CloudWatch's sentence for it.

Points are read over a range that is somewhat longer than the evaluation periods. Missing points count only if too few
points are there: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

RANGE_BEYOND = 2
"""So many periods before the evaluation periods are read too. In AWS's own example five are read for three."""

COMPARISONS = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The settings of an alarm that decide its state."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    """So many of the evaluation periods must breach for an alarm."""
    missing: str = "missing"
    """How a missing point counts (TreatMissingData): `missing`, `ignore`, `breaching` or `notBreaching`."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The state of an alarm, and why it is so."""

    state: str
    points: tuple[tuple[float, float], ...]
    """The points that decide, newest first: the start of the period in seconds since the epoch, and the value."""
    reason: str
    """CloudWatch's sentence (StateReason)."""


def judge(rule: Rule, periods: Sequence[tuple[float, float | None]], current: str) -> Judgement:
    """The state to which the periods of the evaluation range lead.

    `periods` are (start, value), oldest first; the value is None if data is missing. `current` is the state of the
    alarm so far, which stays where AWS lets it stay. With 3 evaluation periods that must all breach (X breaches, 0 does
    not, - is missing):

        range   missing             ignore  breaching  notBreaching
        0-X-X   OK                  OK      OK         OK
        0XX-X   ALARM               ALARM   ALARM      ALARM
        --X--   ALARM               stays   ALARM      OK
        -----   INSUFFICIENT_DATA   stays   ALARM      OK"""
    existing = [(at, value) for at, value in reversed(periods) if value is not None]
    if not existing:
        return _without_data(rule, current)
    # Missing points are skipped as long as older points of the range take their place: for three periods in a range of
    # five, `- X - X X` is judged by its three points. Only those that still lack then are filled, by `rule.missing`.
    evaluated = tuple(existing[: rule.evaluation_periods])
    breaching = [point for point in evaluated if COMPARISONS[rule.comparison][0](point[1], rule.threshold)]
    filled = rule.evaluation_periods - len(evaluated)
    treated = filled if rule.missing == "breaching" else 0
    if len(breaching) + treated >= rule.datapoints_to_alarm:
        state = "ALARM"
    # There are too few points for an alarm, but all of them breach. ALARM if the oldest is as many periods old as
    # points are needed: then the periods since are breaching or missing. Else the state stays.
    elif filled and rule.missing in ("missing", "ignore") and len(breaching) == len(evaluated):
        state = "ALARM" if rule.missing == "missing" and _is_old_enough(rule, periods) else current
    else:
        state = "OK"
    return Judgement(state=state, points=evaluated, reason=_reason(rule, state, current, evaluated, breaching))


def _is_old_enough(rule: Rule, periods: Sequence[tuple[float, float | None]]) -> bool:
    """Whether the oldest point is at least `datapoints_to_alarm` periods old; the newest period is 1 period old."""
    ages = [age for age, (_, value) in enumerate(reversed(periods), start=1) if value is not None]
    return max(ages) >= rule.datapoints_to_alarm


def _without_data(rule: Rule, current: str) -> Judgement:
    """The judgement of a range in which every point is missing."""
    periods = rule.evaluation_periods
    treated = {"breaching": ("ALARM", "Breaching"), "notBreaching": ("OK", "NonBreaching")}
    if rule.missing in treated:
        state, word = treated[rule.missing]
        plural = "s" if periods > 1 else ""
        were = "were" if periods > 1 else "was"
        reason = (
            f"Threshold Crossed: no datapoints were received for {periods} period{plural} and "
            f"{periods} missing datapoint{plural} {were} treated as [{word}]."
        )
        return Judgement(state=state, points=(), reason=reason)
    state = current if rule.missing == "ignore" else "INSUFFICIENT_DATA"
    plural = f"{periods} datapoints were" if periods > 1 else "1 datapoint was"
    return Judgement(state=state, points=(), reason=f"Insufficient Data: {plural} unknown.")


def _reason(
    rule: Rule, state: str, current: str, evaluated: Sequence[tuple[float, float]], breaching: list[tuple[float, float]]
) -> str:
    # CloudWatch names the points that decided: for ALARM those that breach, for OK the others. "minimum" says how many
    # it takes: with 3 out of 5 it takes three to alarm, and three (5 - 3 + 1) that do not breach to be OK.
    decisive = breaching if state == "ALARM" else [point for point in evaluated if point not in breaching]
    decisive = list(decisive or evaluated)
    words = COMPARISONS[rule.comparison][1]
    verb = "was" if len(decisive) == 1 else "were"
    needed = rule.datapoints_to_alarm if state == "ALARM" else rule.evaluation_periods - rule.datapoints_to_alarm + 1
    shown = ", ".join(f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in decisive)
    last = len(evaluated)
    filled = rule.evaluation_periods - last
    treated = (
        f" {filled} missing datapoint(s) treated as [Breaching]." if filled and rule.missing == "breaching" else ""
    )
    return (
        f"Threshold Crossed: {len(decisive)} out of the last {last} datapoint{'s' if last > 1 else ''} [{shown}] "
        f"{verb} {'' if state == 'ALARM' else 'not '}{words} the threshold ({rule.threshold}) "
        f"(minimum {needed} datapoint{'s' if needed > 1 else ''} for {current} -> {state} transition).{treated}"
    )
