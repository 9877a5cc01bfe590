"""What an alarm's data points say: OK, ALARM or INSUFFICIENT_DATA, and CloudWatch's sentence for it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html: points are read over a
range somewhat longer than the evaluation periods; missing ones count only where too few are there."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

RANGE_BEYOND = 2
"""Periods read before the evaluation periods; AWS's own example reads five for three."""

COMPARISONS = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The part of an alarm that decides."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: str = "missing"
    """`missing`, `ignore`, `breaching` or `notBreaching`."""

    def is_breaching(self, value: float) -> bool:
        return bool(COMPARISONS[self.comparison][0](value, self.threshold))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The state, the points that decide it (newest first: start of the period, value) and the sentence."""

    state: str
    points: tuple[tuple[float, float], ...]
    reason: str


def judge(rule: Rule, periods: Sequence[tuple[float, float | None]], current: str) -> Judgement:
    """The state that the periods (oldest first, None where data is missing) of the evaluation range lead to.

    `current` is kept where AWS keeps the state it had."""
    existing = [(at, value) for at, value in reversed(periods) if value is not None]
    if not existing:
        return _without_data(rule, current)
    # Missing points are skipped as long as older ones of the range take their place: of three periods in a range of
    # five, `- X - X X` is judged by its three points. Only what is short after that is filled, by `rule.missing`.
    evaluated = tuple(existing[: rule.evaluation_periods])
    breaching = [point for point in evaluated if rule.is_breaching(point[1])]
    filled = rule.evaluation_periods - len(evaluated)
    treated = filled if rule.missing == "breaching" else 0
    if len(breaching) + treated >= rule.datapoints_to_alarm:
        state = "ALARM"
    # Too few points for an alarm by their number, but all there are breach: ALARM when the oldest is as many periods
    # old as points are needed, for then those since can only be breaching or missing; else the state stays.
    elif filled and rule.missing in ("missing", "ignore") and len(breaching) == len(evaluated):
        state = "ALARM" if rule.missing == "missing" and _is_old_enough(rule, periods) else current
    else:
        state = "OK"
    return Judgement(state=state, points=evaluated, reason=_reason(rule, state, current, evaluated, breaching, filled))


def _is_old_enough(rule: Rule, periods: Sequence[tuple[float, float | None]]) -> bool:
    """All there is breaches, and the oldest of it is at least `datapoints_to_alarm` periods old: ALARM at once."""
    ages = [age for age, (_, value) in enumerate(reversed(periods), start=1) if value is not None]
    return max(ages) >= rule.datapoints_to_alarm


def _without_data(rule: Rule, current: str) -> Judgement:
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
    rule: Rule,
    state: str,
    current: str,
    evaluated: tuple[tuple[float, float], ...],
    breaching: Sequence[tuple[float, float]],
    filled: int,
) -> str:
    # CloudWatch names the points that decided: those that breach for ALARM, the others for OK. "minimum" is how many of
    # them it takes: for 3 out of 5, three to alarm and three (5 - 3 + 1) that do not breach to be OK.
    decisive = breaching if state == "ALARM" else [point for point in evaluated if point not in breaching]
    decisive = list(decisive or evaluated)
    words = COMPARISONS[rule.comparison][1]
    verb = "was" if len(decisive) == 1 else "were"
    needed = rule.datapoints_to_alarm if state == "ALARM" else rule.evaluation_periods - rule.datapoints_to_alarm + 1
    shown = ", ".join(f"{value} ({_when(at)})" for at, value in decisive)
    last = len(evaluated)
    treated = (
        f" {filled} missing datapoint(s) treated as [Breaching]." if filled and rule.missing == "breaching" else ""
    )
    return (
        f"Threshold Crossed: {len(decisive)} out of the last {last} datapoint{'s' if last > 1 else ''} [{shown}] "
        f"{verb} {'' if state == 'ALARM' else 'not '}{words} the threshold ({rule.threshold}) "
        f"(minimum {needed} datapoint{'s' if needed > 1 else ''} for {current} -> {state} transition).{treated}"
    )


def _when(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%d/%m/%y %H:%M:%S")
