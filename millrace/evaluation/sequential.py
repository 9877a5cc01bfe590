"""Tells from labels whether a challenger is better or worse than the champion, however often somebody looks.

Only pairs of answers that differ carry information, so labels are asked for those alone. A label is +1 if the
challenger was right, -1 if the champion was. Labels of one block of time are alike, so whole blocks are judged, by the
sum of their labels:

    labels   (1, 1, -1, 1, 1, -1, 1)  (-1, 1, 1, 1, 1, 1, 1)  …       one a day, a block is a week
    sums     3                        5                                each as likely as -3 and -5 of equal models

Up to a horizon that was stated before the first label, a group-sequential test spends its error by a power of time (Kim
and DeMets 1987). Its bounds are exact: given the sizes of the sums, their signs are coins if the models are equally
good. Beyond the horizon a bet against that null may grow (arXiv 2010.09686; Ville's inequality). A verdict, better or
worse, is false with a probability of at most ERROR, whether somebody looks once or after each label.

Labels come late: blocks are judged in their own order, so it does not matter which comes first. A label may be missing
because of the confidences: `choose` replaces it by one of like confidences, and without one it counts against either
verdict. It may not be missing because of who was right."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
LABELS_MORE = 3
"""How many labels more each label of a block costs if it has several (simulated at a power of 0.8)."""
MOST_LABELS = 5000
"""A plan that needs more is refused: nobody gives as many."""
ALIKE = 0.025
"""How far a replacement's confidences may be from those of the pair whose label never came.

At 0.1 replacements are surer than those they stand for: 8 to 9 % of equal versions went on."""
GIVEN_UP = 2
"""After so many replacements whose labels never came a label counts against either verdict."""
LEAST_SHARE = 1e-15
"""Sums that are less probable are left out of the bounds."""

Found = Literal["better", "worse"]
Block = Sequence[int | None]
"""The labels of one block of time: +1, -1, 0 for one that never came, None for one that may still come."""


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
    mean_labels: float
    """How many labels a challenger with this gain takes on average."""
    labels_a_block: int
    block_days: float
    """0 if requests do not depend on each other: then each label is a block."""
    requests: int
    days: float
    """Until the last label of the horizon, at today's traffic."""

    @property
    def null(self) -> float:
        """The share of labels for the challenger at which it is just not good enough."""
        return (1 - self.margin / self.disagreement) / 2


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to one request that differ."""

    id: str
    confidences: tuple[float, float]
    """The champion's and the challenger's."""


def plan(
    *,
    disagreement: float,
    gain: float,
    margin: float = 0.0,
    requests_a_day: float,
    block_days: float = 0.0,
    labels_a_block: int = 1,
) -> Plan:
    """The plan of a release. Raises FieldError if no number of labels up to MOST_LABELS is enough."""
    if not 0 <= margin < disagreement <= 1 or not gain + margin > 0 or gain > disagreement:
        expected = "margin and gain below the share of requests whose answers differ, not both 0"
        raise FieldError(field="gain", expected=expected, came=(gain, margin, disagreement))
    if margin and labels_a_block > 1:
        raise FieldError(field="labels_a_block", expected="1 with a margin", came=labels_a_block)
    null, share = (1 - margin / disagreement) / 2, (1 + gain / disagreement) / 2
    horizon = _one_look(null, share)
    found, mean = power(horizon, share=share, null=null)
    while found < POWER:
        horizon += math.ceil(horizon / 200)
        found, mean = power(horizon, share=share, null=null)
    # The sign of a sum says less than its labels one by one, the more so the fewer sums there are.
    more = LABELS_MORE * labels_a_block if labels_a_block > 1 else 0
    blocks = math.ceil((horizon + more) / labels_a_block)
    requests = math.ceil(blocks * labels_a_block / disagreement)
    return Plan(
        gain=gain, margin=margin, disagreement=disagreement, horizon=blocks * labels_a_block, mean_labels=mean + more,
        labels_a_block=labels_a_block, block_days=block_days, requests=requests,
        days=max(blocks * block_days, requests / requests_a_day),
    )  # fmt: skip


def _one_look(null: float, share: float) -> int:
    """The labels that a test with one look needs, by the normal approximation."""
    error, power = NormalDist().inv_cdf(1 - ERROR), NormalDist().inv_cdf(POWER)
    spread = error * math.sqrt(null * (1 - null)) + power * math.sqrt(share * (1 - share))
    labels = math.ceil((spread / (share - null)) ** 2)
    if labels > MOST_LABELS:
        expected = f"a gain that {MOST_LABELS} labels show: a larger one, or answers that differ less often"
        raise FieldError(field="gain", expected=expected, came=f"{labels} labels")
    return labels


def choose(pairs: Iterable[Pair], *, salt: str, owed: Pair | None = None) -> Pair | None:
    """The pair of a block whose label is asked for: our own draw, the same for the same `salt`. None without a pair.

    `owed` is a pair of this block or an earlier one whose label never came: then the draw is among pairs of like
    confidences, and its label stands in the other's place."""
    alike = (
        pair
        for pair in pairs
        if owed is None
        or (
            all(abs(a - b) <= ALIKE for a, b in zip(pair.confidences, owed.confidences, strict=True))
            and pair.id != owed.id
        )
    )
    return min(alike, key=lambda pair: hashlib.sha256(f"{salt} {pair.id}".encode()).digest(), default=None)


def judge_labels(blocks: Iterable[Block], plan: Plan, *, ended: bool = False) -> Found | None:
    """What the labels show: the challenger is better (with a margin: not worse by as much), or it is worse, or nothing.

    Blocks are in the order of time, whole; the first one with a label that may still come ends those that are judged.
    The verdict that was reached first stays, whatever labels come after it. `ended` says that a time limit which was
    stated before the first label is over: the last block is held against the bound of the horizon."""
    known = [
        [label for label in block if label is not None] for block in takewhile(lambda one: None not in one, blocks)
    ]
    # A label that never came counts against the challenger here, for it there.
    better = first_crossing(
        [[label or -1 for label in block] for block in known], plan.horizon, null=plan.null, ended=ended
    )
    worse = first_crossing([[-label or -1 for label in block] for block in known], plan.horizon, ended=ended)
    if better is None and worse is None:
        return None
    return "better" if worse is None or (better is not None and better <= worse) else "worse"


def first_crossing(
    blocks: Sequence[Sequence[int]], horizon: int, *, null: float = 0.5, ended: bool = False
) -> int | None:
    """The place of the first block at which +1 is shown to be more frequent than `null`; None if it never is."""
    bounds, total, labels = Bounds(horizon, null), 0, 0
    needed = -math.log(ERROR * (1 - WITHIN))
    for place, (block, capital) in enumerate(zip(blocks, bet(blocks, null=null), strict=True)):
        total, labels = total + sum(block), labels + len(block)
        if labels > horizon:
            bound = math.inf
        else:
            time = horizon if ended and place == len(blocks) - 1 else labels
            bound = bounds.after(time, step=abs(sum(block)))
        if total >= bound or capital >= needed:
            return place
    return None


class Bounds:
    """The bounds that the sum of all labels is held against, block by block."""

    def __init__(self, horizon: int, null: float = 0.5) -> None:
        self._horizon, self._null, self._spent = horizon, null, 0.0
        # How probable each sum is under the null, no bound reached so far and given the sizes of all blocks' sums.
        self._share = {0: 1.0}

    def after(self, labels: int, *, step: int) -> float:
        """The least sum that shows something after so many labels; `step` is the size of the last block's sum."""
        self._share = moved(self._share, step, self._null)
        room = ERROR * WITHIN * (labels / self._horizon) ** SPENDING - self._spent
        bound = math.inf
        for total in sorted(self._share, reverse=True):
            if self._share[total] > room:
                break
            bound, room = total, room - self._share[total]
            self._spent += self._share.pop(total)
        return bound


def moved(share_of: dict[int, float], step: int, up: float) -> dict[int, float]:
    """The probability of each sum after one more step, up with probability `up`, else down."""
    after: dict[int, float] = {}
    for total, share in share_of.items():
        if share > LEAST_SHARE:
            after[total + step] = after.get(total + step, 0.0) + share * up
            after[total - step] = after.get(total - step, 0.0) + share * (1 - up)
    return after


def power(horizon: int, *, share: float, null: float = 0.5) -> tuple[float, float]:
    """The probability that a challenger with this share of the labels is found, and the mean of the labels it takes.

    For one label a block. A challenger that is not found takes all."""
    bounds, share_of, found, mean = Bounds(horizon, null), {0: 1.0}, 0.0, 0.0
    for labels in range(1, horizon + 1):
        share_of, bound = moved(share_of, 1, share), bounds.after(labels, step=1)
        crossed = sum(share_of.pop(total) for total in list(share_of) if total >= bound)
        found, mean = found + crossed, mean + labels * crossed
    return found, mean + horizon * (1 - found)


def bet(blocks: Sequence[Sequence[int]], *, null: float = 0.5) -> list[float]:
    """The logarithm of what one unit has become after each block, betting that +1 is more frequent than `null`.

    If it is not, it ever reaches a factor c with a probability of at most 1 / c."""
    mean = 2 * null - 1
    logs, log_of = [], [0.0] * len(BETS)
    for block in blocks:
        gain = (sum(block) / len(block) - mean) / (1 + mean) if block else 0.0
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
