"""Tells from labels whether a challenger is better or worse than the champion, however often somebody looks.

Only pairs of answers that differ carry information, so labels are asked for those alone. A label is +1 if the
challenger was right, -1 if the champion was. Labels of one block of time are alike, so one is asked for in each block.

Up to a horizon that was stated before the first label, a group-sequential test spends its error by a power of time (Kim
and DeMets 1987). Its bounds are exact: the labels are coins if the models are equally good. Beyond the horizon a bet
against that null may grow (arXiv 2010.09686; Ville's inequality). A verdict, better or worse, is false with a
probability of at most ERROR, whether somebody looks once or after each label.

Labels come late: they are judged in the order of their blocks, so it does not matter which comes first. A label may be
missing because of the confidences: the climb replaces it by one of like confidences, and without one it counts against
either verdict. It may not be missing because of who was right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from millrace.errors import FieldError

ERROR = 0.05
"""The largest probability of a false verdict, for each of the two."""
WITHIN = 0.98
"""The share of ERROR that is spent up to the horizon; the rest is for the bet."""
SPENDING = 5
"""At a share t of the horizon t⁵ of the error is spent: early bounds are strict, the last nearly that of one look."""
POWER = 0.815
"""The probability with which a challenger that is better by the stated gain is found up to the horizon.

A little above 0.8: chance brings fewer answers that differ than a limit on the requests lets expect."""
BETS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""The shares of the largest bet that are laid side by side, so that no label chooses one."""
MOST_LABELS = 5000
"""A plan that needs more is refused: nobody gives as many."""
LEAST_SHARE = 1e-15
"""Sums that are less probable are left out of the bounds."""

Found = Literal["better", "worse"]
Label = int | None
"""+1, -1, 0 for one that never came, None for one that may still come."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a release is going to need, stated before its first label."""

    gain: float
    """The improvement that is found with POWER, as a share of all answers: 0.01 is one point."""
    margin: float
    """By how much the challenger may be worse and still pass; 0 asks it to be better."""
    disagreement: float
    """The share of requests whose two answers differ, as known at the start."""
    horizon: int
    """The most labels that the group-sequential test takes."""
    days: float
    """Until the last label of the horizon, at today's traffic."""

    @property
    def null(self) -> float:
        """The share of labels for the challenger at which it is just not good enough."""
        return (1 - self.margin / self.disagreement) / 2


def plan(
    *, disagreement: float, gain: float, margin: float = 0.0, requests_a_day: float, block_days: float = 0.0
) -> Plan:
    """The plan of a release. `block_days` is 0 if requests do not depend on each other: then each label is a block.

    Raises FieldError if no number of labels up to MOST_LABELS is enough."""
    if not 0 <= margin < disagreement <= 1 or not gain + margin > 0 or gain > disagreement:
        expected = "margin and gain below the share of requests whose answers differ, not both 0"
        raise FieldError(field="gain", expected=expected, came=(gain, margin, disagreement))
    null, share = (1 - margin / disagreement) / 2, (1 + gain / disagreement) / 2
    horizon = _one_look(null, share)
    while power(horizon, share=share, null=null) < POWER:
        horizon += math.ceil(horizon / 200)
    days = max(horizon * block_days, math.ceil(horizon / disagreement) / requests_a_day)
    return Plan(gain=gain, margin=margin, disagreement=disagreement, horizon=horizon, days=days)


def _one_look(null: float, share: float) -> int:
    """The labels that a test with one look needs, by the normal approximation."""
    error, power = NormalDist().inv_cdf(1 - ERROR), NormalDist().inv_cdf(POWER)
    spread = error * math.sqrt(null * (1 - null)) + power * math.sqrt(share * (1 - share))
    labels = math.ceil((spread / (share - null)) ** 2)
    if labels > MOST_LABELS:
        expected = f"a gain that {MOST_LABELS} labels show: a larger one, or answers that differ less often"
        raise FieldError(field="gain", expected=expected, came=f"{labels} labels")
    return labels


def judge_labels(labels: Iterable[Label], plan: Plan, *, ended: bool = False) -> Found | None:
    """What the labels show: the challenger is better (with a margin: not worse by as much), or it is worse, or nothing.

    Labels are in the order of their blocks' time; the first one that may still come ends those that are judged. The
    verdict that was reached first stays, whatever labels come after it. `ended` says that a time limit which was stated
    before the first label is over: the last label is held against the bound of the horizon."""
    known = list[int]()
    for label in labels:
        if label is None:
            break
        known.append(label)
    # A label that never came counts against the challenger here, for it there.
    better = first_crossing([label or -1 for label in known], plan.horizon, null=plan.null, ended=ended)
    worse = first_crossing([-label or -1 for label in known], plan.horizon, ended=ended)
    if better is None and worse is None:
        return None
    return "better" if worse is None or (better is not None and better <= worse) else "worse"


def first_crossing(labels: Sequence[int], horizon: int, *, null: float = 0.5, ended: bool = False) -> int | None:
    """The place of the first label at which +1 is shown to be more frequent than `null`; None if it never is."""
    bounds, total, needed = Bounds(horizon, null), 0, -math.log(ERROR * (1 - WITHIN))
    for place, (label, capital) in enumerate(zip(labels, bet(labels, null=null), strict=True)):
        total += label
        time = horizon if ended and place == len(labels) - 1 else place + 1
        if total >= (bounds.after(time) if place < horizon else math.inf) or capital >= needed:
            return place
    return None


class Bounds:
    """The bounds that the sum of all labels is held against, label by label."""

    def __init__(self, horizon: int, null: float = 0.5) -> None:
        self._horizon, self._null, self._spent = horizon, null, 0.0
        # How probable each sum is under the null, with no bound reached so far.
        self._share = {0: 1.0}

    def after(self, labels: int) -> float:
        """The least sum that shows something after so many labels, one more than at the call before."""
        self._share = moved(self._share, self._null)
        room = ERROR * WITHIN * (labels / self._horizon) ** SPENDING - self._spent
        bound = math.inf
        for total in sorted(self._share, reverse=True):
            if self._share[total] > room:
                break
            bound, room = total, room - self._share[total]
            self._spent += self._share.pop(total)
        return bound


def moved(share_of: dict[int, float], up: float) -> dict[int, float]:
    """The probability of each sum after one more label, +1 with probability `up`, else -1."""
    after: dict[int, float] = {}
    for total, share in share_of.items():
        if share > LEAST_SHARE:
            after[total + 1] = after.get(total + 1, 0.0) + share * up
            after[total - 1] = after.get(total - 1, 0.0) + share * (1 - up)
    return after


def power(horizon: int, *, share: float, null: float = 0.5) -> float:
    """The probability that a challenger with this share of the labels is found."""
    bounds, share_of, found = Bounds(horizon, null), {0: 1.0}, 0.0
    for labels in range(1, horizon + 1):
        share_of, bound = moved(share_of, share), bounds.after(labels)
        found += sum(share_of.pop(total) for total in list(share_of) if total >= bound)
    return found


def bet(labels: Iterable[int], *, null: float = 0.5) -> list[float]:
    """The logarithm of what one unit has become after each label, betting that +1 is more frequent than `null`.

    If it is not, it ever reaches a factor c with a probability of at most 1 / c."""
    mean = 2 * null - 1
    logs, log_of = [], [0.0] * len(BETS)
    for label in labels:
        gain = (label - mean) / (1 + mean)
        log_of = [log + math.log1p(share * gain) for share, log in zip(BETS, log_of, strict=True)]
        logs.append(log_mean(log_of, [1 / len(BETS)] * len(BETS)))
    return logs


def log_mean(logs: Sequence[float], weights: Sequence[float]) -> float:
    """The logarithm of the mean of values that are given by their logarithms. The weights' sum is 1."""
    most = max(logs)
    return most + math.log(sum(weight * math.exp(log - most) for weight, log in zip(weights, logs, strict=True)))


def evidence_above(hits: int, trials: int, *, null: float, ratios: Sequence[tuple[float, float]]) -> float:
    """The logarithm of the evidence that hits are more frequent than `null`; above -log(error) it is shown.

    Each of `ratios` is how many times as high the odds may be, and the weight of that guess; the weights' sum is 1. As
    the guesses are stated beforehand it may be looked at after each trial (a mixture of likelihood ratios)."""
    logs = []
    for ratio, _ in ratios:
        share = ratio * null / (1 - null + ratio * null)
        logs.append(hits * math.log(share / null) + (trials - hits) * math.log((1 - share) / (1 - null)))
    return log_mean(logs, [weight for _, weight in ratios])
