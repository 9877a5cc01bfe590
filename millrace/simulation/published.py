"""Published rules for retraining, which no machine of ours runs: what a proposal is compared with.

They see what the live version's labels said up to each decision. They have no cool-down, guard or gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from millrace.simulation.simulation import Course, Replay

if TYPE_CHECKING:
    import numpy.typing as npt

    Sums = npt.NDArray[np.float64]

Rule = Callable[["Seen"], bool]
"""Whether a version is trained and released."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known at a decision."""

    replay: Replay
    length: int
    live: int
    decision: int

    @property
    def first(self) -> int:
        """The first day that the live version answered."""
        return int(self.replay.days[self.live])

    @property
    def last(self) -> int:
        """The day up to which labels are known."""
        return max(self.first, self.replay.settled(self.decision))

    @property
    def errors(self) -> Sums:
        """The live version's mean error on each known day with rows."""
        days = np.arange(self.first, self.last)
        errors = self.replay.error(self.length, self.live, days, days + 1)
        return errors[~np.isnan(errors)]

    def usd(self, first: int, last: int) -> float:
        """What the live version costs from day `first` to `last`."""
        money = self.replay.money[self.length, self.live]
        return float(money[last] - money[first])

    def usd_above(self, first: int, last: int) -> float:
        """How much of that is above expectation."""
        return self.usd(first, last) - self.expected_usd * (last - first)

    @cached_property
    def expected_usd(self) -> float:
        """What a day costs as long as the live version is as good as on its own test days."""
        first = self.live * self.replay.history.step_days
        last = self.replay.settled(self.live)
        rows = self.replay.rows
        a_row = self.usd(first, last) / max(rows[last] - rows[first], 1)
        return float(a_row * (rows[self.last] - rows[self.first]) / max(self.last - self.first, 1))


def follow(replay: Replay, rule: Rule, length: int) -> Course:
    """The course of a rule with one length of the training days."""
    live, versions, retrainings = 0, list[int](), list[int]()
    for decision in range(replay.decisions):
        if decision and rule(Seen(replay=replay, length=length, live=live, decision=decision)):
            live = decision
            retrainings.append(decision)
        versions.append(live)
    version_V = np.array(versions, np.int64)
    return replay.course(np.full(len(version_V), length), version_V, retrainings)


def every(step: int) -> Rule:
    """A fixed schedule, which is CARA's periodic rule too: each `step`-th decision."""
    return lambda seen: seen.decision % step == 0


@dataclass(frozen=True)
class Adwin:
    """ADWIN: the mean error of the newer days is above that of the older ones by more than chance allows.

    Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", 2007. All cuts are tried, where the
    paper tries those between exponential buckets."""

    delta: float = 0.002
    fewest: int = 5
    """The fewest values on either side of a cut."""

    def __call__(self, seen: Seen) -> bool:
        return self.finds(seen.errors)

    def finds(self, value_D: Sums) -> bool:
        """Whether the newest values are larger. The values lie between 0 and 1, else they are scaled by the largest."""
        value_D = value_D / max(1.0, float(value_D.max(initial=0.0)))
        start = 0
        for end in range(2 * self.fewest, len(value_D) + 1):
            while (cut := self._cut(value_D[start:end])) is not None:
                if value_D[start + cut : end].mean() > value_D[start : start + cut].mean():
                    return True
                start += cut
        return False

    def _cut(self, value_D: Sums) -> int | None:
        """Where the window is to be cut; None if nowhere. The bound is that of theorem 3.2."""
        count = len(value_D)
        left = np.arange(self.fewest, count - self.fewest + 1)
        if not len(left):
            return None
        sums = np.cumsum(value_D)
        apart = np.abs((sums[-1] - sums[left - 1]) / (count - left) - sums[left - 1] / left)
        harmonic = 1 / (1 / left + 1 / (count - left))
        log = np.log(2 * np.log(count) / self.delta)
        bound = np.sqrt(2 / harmonic * value_D.var() * log) + 2 / (3 * harmonic) * log
        found = np.flatnonzero(apart > bound)
        return int(left[found[0]]) if len(found) else None


@dataclass(frozen=True)
class Threshold:
    """CARA's threshold rule: the newest days cost more than the expected ones by more than a share of a training.

    Mahadevan and Mathioudakis, "Cost-aware retraining for machine learning", 2024; staleness is measured by labels
    instead of by likeness of queries and data."""

    share: float

    def __call__(self, seen: Seen) -> bool:
        first = max(seen.first, seen.last - seen.replay.history.step_days)
        return seen.usd_above(first, seen.last) > self.share * seen.replay.terms.usd_per_training


@dataclass(frozen=True)
class Cumulated:
    """CARA's cumulative rule, and Modyn's avoidable errors where `share` is 1 and they only grow: what the live version
    cost above expectation since it was released is more than a share of a training.

    Böther et al., "Modyn", 2025: `avoidable_misclassification_threshold`, with `allow_reduction: false`."""

    share: float = 1.0
    only_grows: bool = False

    def __call__(self, seen: Seen) -> bool:
        step = seen.replay.history.step_days
        starts = range(seen.first, seen.last, step)
        above = [seen.usd_above(first, min(first + step, seen.last)) for first in starts]
        total = sum(max(one, 0.0) for one in above) if self.only_grows else sum(above)
        return total > self.share * seen.replay.terms.usd_per_training


@dataclass
class Forecaster:
    """UPF: the cost of versions is forecast from their age, and a version is trained if that pays for all but an
    unlucky share of the forecasts.

    Regol et al., "When to retrain a machine learning model", ICML 2025. Here the forecast is a straight line in a
    version's age, its day and its first cost, with normal errors; the paper's forecaster has further features."""

    horizon: int
    """The decisions ahead that are counted."""
    quantile_z: float = 1.645
    """0.95 of the forecasts must agree."""
    known: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Of earlier versions: age, decision, first cost, cost of a step."""

    def learn(self, replay: Replay, length: int) -> None:
        """All versions of a part of the history in which every one was trained."""
        for version in range(replay.decisions):
            costs = np.diff(replay.money[length, version, replay.days[version:]]).tolist()
            self.known += [(float(age), float(version + age), costs[0], one) for age, one in enumerate(costs)]

    def __call__(self, seen: Seen) -> bool:
        replay, step = seen.replay, seen.replay.history.step_days
        own = [
            (float(number), float(seen.live + number), seen.usd(first, first + step))
            for number, first in enumerate(range(seen.first, seen.last - step + 1, step))
        ]
        rows = [*self.known, *((age, at, own[0][2], one) for age, at, one in own)]
        if len(rows) < 8 or not own:
            return False
        given = np.array(rows)
        x, y = np.column_stack([np.ones(len(given)), given[:, 0], given[:, 2]]), given[:, 3]
        weights, *_ = np.linalg.lstsq(x, y, rcond=None)
        spread = float((y - x @ weights).std())
        ahead = np.arange(min(self.horizon, replay.decisions - seen.decision))
        fresh = float(np.mean([one[2] for one in rows if one[0] == 0]))
        # The live version is forecast from its newest cost; a new one begins with the usual first cost.
        keep = weights[0] + weights[1] * (seen.decision - seen.live + ahead) + weights[2] * own[0][2]
        keep = keep + (own[-1][2] - keep[0]) * 0.5**ahead
        new = weights[0] + weights[1] * ahead + weights[2] * fresh
        gain = float((keep - new).sum())
        risk = self.quantile_z * spread * float(np.sqrt(len(ahead)))
        return gain - risk > replay.terms.usd_per_training
