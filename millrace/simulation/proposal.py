"""Compares policies on a history, and proposes one: chosen on the first part of the days, judged on the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from millrace.simulation.history import LivedHistory
from millrace.simulation.simulation import Course, Replay, RetrainingPolicy, Terms, oracle, simulate

CHOSEN_ON = 0.4
"""The share of the decisions that a policy is chosen on."""
STARTS = (0.0, 0.2, 0.4)
"""Where in these days the courses begin whose costs are added."""
FEWEST_DECISIONS = 4
"""With fewer decisions in either part nothing is proposed."""
STEPS = (1, 2, 4, 8, 13, 26)
"""The schedules that are tried, in steps of the history."""
BOUNDS = (0.3, 0.5, 0.7, 0.9)
"""The bounds of the error that are tried: quantiles of the windows in which a version was new."""
COOL_DOWNS = (0, 4)
"""In steps."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy, judged on the rest of the days."""

    name: str
    kind: str
    """`declared`, `proposed`, `schedule`, `never` or `oracle`."""
    course: Course


@dataclass(frozen=True, kw_only=True)
class PolicyComparison:
    """What was compared on the days that nothing was chosen on."""

    replay: Replay
    proposed: RetrainingPolicy
    rows: tuple[Row, ...]
    """The cheapest first."""
    tried: int
    """The policies that the proposal was chosen from."""

    @property
    def judged_from(self) -> str:
        """The first day that counts."""
        return str(np.datetime64(self.replay.history.first) + self.replay.lag)

    @property
    def best(self) -> Course:
        """The course in hindsight."""
        return self.of("oracle")

    def of(self, kind: str) -> Course:
        return next(row.course for row in self.rows if row.kind == kind)


def compare(history: LivedHistory, terms: Terms, declared: RetrainingPolicy | None = None) -> PolicyComparison:
    """The comparison. Raises ValueError, with the days that there are, if they are too few.

    `declared` is the workload's own policy; None if the history does not have its training days."""
    step, whole = history.step_days, Replay(history=history, terms=terms)
    # At the decision `cut` the labels are known up to `settled`: a policy is chosen by them, and judged from then on.
    cut = round(whole.decisions * CHOSEN_ON)
    first = Replay(history=history.part(0, whole.settled(cut)), terms=terms)
    rest = Replay(history=history.part(cut * step, history.days), terms=terms)
    if min(first.decisions, rest.decisions) < FEWEST_DECISIONS:
        came = f"{first.decisions} and {rest.decisions} decisions in {history.days} days from {history.first} on"
        raise ValueError(f"{came}, where a label comes {terms.label_delay_days} days late")
    policies = list(grid(first))
    # From several starts, since one course of a few retrainings is much a matter of luck.
    starts = [round(first.decisions * share) for share in STARTS]
    parts = [replace(first, history=first.history.part(start * step, first.history.days)) for start in starts]
    costs = np.sum([[simulate(part, policy).usd for policy in policies] for part in parts], axis=0)
    proposed = policies[int(np.argmin(costs))]
    named = {"proposed": [proposed], "declared": [declared] if declared else []}
    # Schedules have the training days of the proposal: which ones are right is no part of theirs.
    named["schedule"] = [RetrainingPolicy(train_days=proposed.train_days, every_days=step * steps) for steps in STEPS]
    named["never"] = [RetrainingPolicy(train_days=proposed.train_days)]
    rows = [
        Row(name=str(policy), kind=kind, course=simulate(rest, policy))
        for kind, listed in named.items()
        for policy in listed
    ]
    rows.append(Row(name="the cheapest in hindsight", kind="oracle", course=oracle(rest)))
    return PolicyComparison(
        replay=rest,
        proposed=proposed,
        rows=tuple(sorted(rows, key=lambda row: row.course.usd)),
        tried=len(policies),
    )


def grid(replay: Replay) -> Iterator[RetrainingPolicy]:
    """The policies that are tried."""
    history, step = replay.history, replay.history.step_days
    for place, length in enumerate(history.train_days):
        yield RetrainingPolicy(train_days=length)
        for steps in STEPS:
            yield RetrainingPolicy(train_days=length, every_days=steps * step)
        fresh = replay.error(place, np.arange(replay.decisions), replay.days[:-1], replay.days[1:])
        for bound in np.unique(np.nanquantile(fresh, BOUNDS)):
            # Rounded, as a person would write it into a file.
            rounded = float(f"{bound:.3g}")
            for windows in (1, 2, 3):
                for steps in COOL_DOWNS:
                    yield RetrainingPolicy(
                        train_days=length, error_bound=rounded, error_windows=windows, cool_down_days=steps * step
                    )
