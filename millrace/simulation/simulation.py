"""Replays a history under policies as the deployed monitor, guard and gate apply them, and finds the cheapest course.

    day            0       7      14      21      28
    version        0       1       2       3       4        learnt from the days before
    its test days  |---|   |---|   |---|   |---|   |---|
    its labels         |-|     |-|     |-|     |-|     |-|
    decision             0       1       2       3          monitor, guard and gate; the version answers from here on

A decision knows the labels up to the end of the newest version's test days. The windows of the monitor end there.

Axes: P policies, K lengths of the training days, V versions and decisions, W successive windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.simulation.history import LivedHistory

    Sums = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RetrainingPolicy:
    """What a workload may declare of its retrainings."""

    train_days: int | None = None
    """`training.train_days`."""
    error_bound: float | None = None
    """`monitors.error_bound`. None: the error requests no retraining."""
    error_windows: int = 1
    """`monitors.error_windows`."""
    every_days: int | None = None
    """The days between two requests of `retraining.schedule`. None: none."""
    cool_down_days: int = 0
    """`retraining.cool_down_days`."""

    def __str__(self) -> str:
        words = []
        if self.error_bound is not None:
            windows = f"{self.error_windows} windows" if self.error_windows > 1 else "a window"
            words.append(f"error above {self.error_bound:.3g} in {windows}")
        if self.every_days:
            words.append(f"every {self.every_days} days")
        if not words:
            return f"never, {_learnt(self.train_days)}"
        rest = f", {self.cool_down_days} days of cool-down" if self.cool_down_days else ""
        return f"{', '.join(words)}{rest}, {_learnt(self.train_days)}"


def _learnt(train_days: int | None) -> str:
    return "all days" if train_days is None else f"the last {train_days} days"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What holds whatever the policy is."""

    usd_per_error: float
    """Not read if the history has costs."""
    usd_per_training: float
    label_delay_days: int = 0
    """So many days after its own a decision's label is known."""
    margin: float | None = None
    """`gates.non_inferiority.margin`; None: every version is released."""
    error_is_share: bool = True
    """Else the margin is a share of the champion's error."""
    reserved_usd: float = 0.0
    """What a training reserves of the month's budget."""
    monthly_usd: float = float("inf")
    maximum_runs_per_month: int = 31
    minimum_new_labels: int = 0


@dataclass(frozen=True, kw_only=True)
class Course:
    """What one policy did."""

    error: float
    """The mean error of all rows that it decided on."""
    usd: float
    """What errors and trainings cost together."""
    retrainings: tuple[int, ...]
    """The decisions that started one."""
    length_V: Whole
    version_V: Whole
    """The version that answers after each decision, and the place of its length of the training days."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A history as decisions see it."""

    history: LivedHistory
    terms: Terms

    @property
    def lag(self) -> int:
        """The days from a version's first test day to the decision on it."""
        return self.history.test_days + self.terms.label_delay_days

    @property
    def decisions(self) -> int:
        return max(0, -(-(self.history.days - self.lag) // self.history.step_days))

    @cached_property
    def days(self) -> Whole:
        """The day of each decision, and at the end the day after the last one."""
        days = np.arange(self.decisions + 1) * self.history.step_days + self.lag
        return np.minimum(days, self.history.days)

    @cached_property
    def rows(self) -> Sums:
        """The rows before each day."""
        return np.concatenate([[0.0], np.cumsum(self.history.rows_D)])

    @cached_property
    def errors(self) -> Sums:
        """(K, V, day): the errors before each day."""
        return _before(self.history.errors_KVD)

    @cached_property
    def money(self) -> Sums:
        """(K, V, day): what the answers before each day cost."""
        if self.history.costs_KVD is not None:
            return _before(self.history.costs_KVD)
        return self.errors * self.terms.usd_per_error

    def error(self, length: Any, version: Any, first: Any, last: Any) -> Sums:
        """The mean error from day `first` to `last`; NaN without rows. All arguments may be arrays."""
        count = self.rows[last] - self.rows[first]
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Sums = (self.errors[length, version, last] - self.errors[length, version, first]) / count
        return found

    def settled(self, decision: int) -> int:
        """The day up to which labels are known at a decision."""
        return decision * self.history.step_days + self.history.test_days

    def cost(self, decision: int) -> Sums:
        """(K, V): what each version would cost between this decision and the next."""
        first, last = self.days[decision], self.days[decision + 1]
        return self.money[:, :, last] - self.money[:, :, first]

    def course(self, length_V: Whole, version_V: Whole, retrainings: Sequence[int]) -> Course:
        """The course of versions that answer after each decision."""
        first, last = self.days[:-1], self.days[1:]
        errors = (self.errors[length_V, version_V, last] - self.errors[length_V, version_V, first]).sum()
        usd = (self.money[length_V, version_V, last] - self.money[length_V, version_V, first]).sum()
        return Course(
            error=float(errors / max(self.rows[last[-1]] - self.rows[first[0]], 1)),
            usd=float(usd + self.terms.usd_per_training * len(retrainings)),
            retrainings=tuple(retrainings),
            length_V=length_V,
            version_V=version_V,
        )


def _before(values_KVD: Sums) -> Sums:
    sums = np.cumsum(values_KVD, axis=2, dtype=np.float64)
    return np.concatenate([np.zeros((*sums.shape[:2], 1)), sums], axis=2)


def simulate(replay: Replay, policies: Sequence[RetrainingPolicy]) -> list[Course]:
    """What each policy would have done. All of them start with version 0 of their own training days."""
    if not policies:
        return []
    history, terms, step = replay.history, replay.terms, replay.history.step_days
    known = {length: place for place, length in enumerate(history.train_days)}
    length_P = np.array([known[one.train_days] for one in policies])
    bound_P = np.array([np.inf if one.error_bound is None else one.error_bound for one in policies])
    windows_P = np.array([one.error_windows for one in policies])
    every_P = np.array([one.every_days or np.inf for one in policies])
    cool_P = np.array([one.cool_down_days for one in policies])
    live_P, last_P, runs_P = (np.zeros(len(policies), np.int64) for _ in range(3))
    # The decision from which on whole windows are the live version's: windows end before decisions, by the label delay.
    mixed, month = -(-terms.label_delay_days // step), ""
    versions, trained = [], []
    for decision in range(replay.decisions):
        at = np.datetime64(history.first) + int(replay.days[decision])
        if str(at)[:7] != month:
            month, runs_P = str(at)[:7], np.zeros_like(runs_P)
        # The monitor: the lowest error of the newest windows in a row, all of the live version.
        windows_W = np.arange(int(windows_P.max(initial=1)))
        end_W = replay.settled(decision) - windows_W * step
        has_W = end_W - step >= 0
        error_PW = replay.error(length_P[:, None], live_P[:, None], np.maximum(end_W - step, 0), np.maximum(end_W, 0))
        counts_PW = has_W & (windows_W < windows_P[:, None])
        lowest_P = np.where(counts_PW, error_PW, np.inf).min(axis=1)
        judged_P = (decision - live_P - mixed >= windows_P) & (has_W.sum() >= windows_P)
        asked_P = judged_P & (lowest_P > bound_P)
        if decision:
            asked_P |= (decision * step) % every_P == 0
        # The guard.
        labels_P = replay.rows[replay.settled(decision)] - replay.rows[[replay.settled(int(one)) for one in last_P]]
        asked_P &= ((decision - last_P) * step >= cool_P) & (labels_P >= terms.minimum_new_labels) & (decision > last_P)
        asked_P &= (runs_P < terms.maximum_runs_per_month) & ((runs_P + 1) * terms.reserved_usd <= terms.monthly_usd)
        # The gate: not worse than the champion on the test days by more than the margin.
        released_P = asked_P & _passes(replay, length_P, live_P, decision)
        live_P = np.where(released_P, decision, live_P)
        last_P, runs_P = np.where(asked_P, decision, last_P), runs_P + asked_P
        versions.append(live_P)
        trained.append(asked_P)
    version_PV, trained_PV = np.array(versions).T, np.array(trained).T
    return [
        replay.course(np.full(len(version_V), length), version_V, np.flatnonzero(trained_V).tolist())
        for length, version_V, trained_V in zip(length_P, version_PV, trained_PV, strict=True)
    ]


def _passes(replay: Replay, length_P: Whole, live_P: Whole, decision: int) -> Any:
    """Which policies (P) would release the version of this decision."""
    if (margin := replay.terms.margin) is None:
        return np.full(len(live_P), fill_value=True)
    first, last = decision * replay.history.step_days, replay.settled(decision)
    own_P, new_P = replay.error(length_P, live_P, first, last), replay.error(length_P, decision, first, last)
    return ~(new_P > own_P + margin * (1.0 if replay.terms.error_is_share else own_P))


def oracle(replay: Replay) -> Course:
    """The cheapest course in hindsight, over all versions and training days; by dynamic programming."""
    lengths, versions = len(replay.history.train_days), replay.history.versions
    best_KV = np.full((lengths, versions), np.inf)
    best_KV[:, 0] = 0.0
    before: list[int] = []
    for decision in range(replay.decisions):
        # From the cheapest course so far, a training leads to the version of this decision.
        before.append(int(best_KV.argmin()))
        if decision:
            best_KV[:, decision] = best_KV.min() + replay.terms.usd_per_training
        best_KV = best_KV + replay.cost(decision)
    # Back from the cheapest end: a version was trained at the decision of its number.
    at = int(best_KV.argmin())
    length_V, version_V = (np.zeros(replay.decisions, np.int64) for _ in range(2))
    retrainings: list[int] = []
    end = replay.decisions
    while True:
        length, version = divmod(at, versions)
        length_V[version:end], version_V[version:end] = length, version
        if not version:
            return replay.course(length_V, version_V, retrainings[::-1])
        retrainings.append(version)
        at, end = before[version], version
