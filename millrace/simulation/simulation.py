"""Replays a history under policies by the guard's own decision and the gate's own bound, and finds the cheapest course.

    day            0       7      14      21      28
    version        0       1       2       3       4        learnt from the days before
    its test days  |---|   |---|   |---|   |---|   |---|
    its labels         |-|     |-|     |-|     |-|     |-|
    decision             0       1       2       3          monitor, guard and gate; the version answers from here on

A decision knows the labels up to the end of the newest version's test days. The windows of the monitor end there.

Axes: K lengths of the training days, V versions and decisions, W successive windows, D days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.comparison import compare
from millrace.evaluation.gates.non_inferiority import NonInferiority
from millrace.evaluation.reuse import ComparedDays, lower_bound
from millrace.monitoring.alarms import above_since
from millrace.monitoring.retraining_policy import RetrainingFacts, decide
from millrace.simulation.history import LivedHistory
from millrace.state.retraining import LastRetraining
from millrace.timestamps import month, parse_utc
from millrace.workload.declaration import Budget, Retraining

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
    gate: NonInferiority | None = None
    """None: every version is released."""
    error_is_share: bool = True
    reserved_usd: float = 0.0
    """What a training reserves of the month's budget."""
    retraining: Retraining
    """The declaration, of which a policy has other alarms and another cool-down."""
    budget: Budget


@dataclass(frozen=True, kw_only=True)
class Course:
    """What one policy did."""

    error: float
    """The mean error of all rows that it decided on."""
    usd: float
    """What errors and trainings cost together."""
    retrainings: tuple[int, ...]
    """The decisions that started one."""
    version_V: Whole
    """The version that answers after each decision."""


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

    def at(self, day: int) -> datetime:
        return parse_utc(self.history.first) + timedelta(days=day)

    def above(self, policy: RetrainingPolicy, length: int, live: int, decision: int) -> dict[datetime, bool]:
        """The monitor: by the start of the newest windows in a row whether all are above the bound; empty without them.

        All are of the live version. Windows end before decisions, by the label delay."""
        step, windows = self.history.step_days, policy.error_windows
        first, mixed = self.settled(decision) - windows * step, -(-self.terms.label_delay_days // step)
        if policy.error_bound is None or first < 0 or decision - live - mixed < windows:
            return {}
        start_W = first + step * np.arange(windows)
        lowest = float(self.error(length, live, start_W, start_W + step).min())
        return {} if math.isnan(lowest) else {self.at(first): lowest > policy.error_bound}

    def facts(self, decision: int, last: LastRetraining, since: datetime | None) -> RetrainingFacts:
        """What the guard would know. Labels count from the first version on, each as a late one."""
        known, as_of = self.rows[self.settled(decision)], self.at(int(self.days[decision]))
        return RetrainingFacts(
            as_of=as_of,
            trigger="schedule",
            execution_arn=str(decision),
            has_champion=True,
            last=last,
            labels_total=int(known - self.rows[self.settled(0)]),
            spent_usd=last.runs_in(month(as_of)) * self.terms.reserved_usd,
            projected_usd=self.terms.reserved_usd,
            drifted_since=since,
            drifted_labels=int(known - self.rows[(since - self.at(0)).days]) if since else 0,
        )

    def passes(self, length: int, live: int, decision: int, trained: Sequence[int]) -> bool:
        """The gate: whether the version of the decision is released, after those that were trained."""
        if (gate := self.terms.gate) is None:
            return True
        first, last = self.judged_on(gate, decision)
        judged = ComparedDays(begin=self.at(first), end=self.at(last))
        others = [map(self.at, self.judged_on(gate, other)) for other in (0, *trained)]
        day_D = first + np.flatnonzero(self.history.rows_D[first:last])
        if not len(day_D):
            return False
        own_D, new_D = self.history.errors_KVD[length, (live, decision)][:, day_D]
        blocks, rows_D = np.arange(len(day_D)), self.history.rows_D[day_D]
        compared = compare(own_D, new_D, blocks, confidence=gate.confidence, rows_N=rows_D)
        candidates = 1 + sum(judged.are_shared(*other) for other in others)
        bound = lower_bound(compared, candidates, risk=1 - gate.confidence)
        return bound >= gate.bar(compared.error, is_share=self.terms.error_is_share)

    def judged_on(self, gate: NonInferiority, decision: int) -> tuple[int, int]:
        """The test days on which the version of the decision is compared with the live one."""
        last = self.settled(decision)
        return max(decision * self.history.step_days, last - gate.recent_days), last

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
            version_V=version_V,
        )


def _before(values_KVD: Sums) -> Sums:
    sums = np.cumsum(values_KVD, axis=2, dtype=np.float64)
    return np.concatenate([np.zeros((*sums.shape[:2], 1)), sums], axis=2)


def simulate(replay: Replay, policy: RetrainingPolicy) -> Course:
    """What the policy would have done. It starts with version 0 of its own training days."""
    terms, step = replay.terms, replay.history.step_days
    length = replay.history.train_days.index(policy.train_days)
    declared = terms.retraining.model_copy(update={"cool_down_days": policy.cool_down_days})
    live, last, since = 0, LastRetraining(), None
    versions, trained = list[int](), list[int]()
    for decision in range(replay.decisions):
        above = replay.above(policy, length, live, decision)
        since = above_since(above, since)
        is_due = decision and policy.every_days and decision * step % policy.every_days == 0
        if is_due or any(above.values()):
            facts = replay.facts(decision, last, since)
            if decide(facts, policy=declared, budget=terms.budget).accepted:
                last = last.after(execution_arn=facts.execution_arn, as_of=facts.as_of, labels_total=facts.labels_total)
                if replay.passes(length, live, decision, trained):
                    live, since = decision, None
                trained.append(decision)
        versions.append(live)
    return replay.course(np.full(len(versions), length), np.array(versions, np.int64), trained)


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
