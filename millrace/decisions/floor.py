"""Whether a version does worse than the naive rule on the newest labels, so that the rule answers in its place.

Both are compared on the newest days with labels, as few whole days as hold the declared number of labels. Fewer labels
change nothing. The rule takes over quickly, and the version comes back only when it is better on many more labels too:

    labels 96, labels_to_return 1344, margin 0.02, a day of 48 labels

    rule better by 0.03 on two days                                the rule answers, the version is recorded
    version better by 0.03 on two days, worse on four weeks        still the rule
    version better by 0.03 on two days and on four weeks           the version answers

Margin and numbers are declared before any of these labels has come. The default of the way back was chosen on the
stream of electricity: with the same few labels for both ways a version that is not retrained stays below the rule in
one to three of a hundred four-week windows there (`python -m benchmarks.floor`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from millrace.decisions.columns import OUTPUT
from millrace.decisions.outcome_columns import Outcomes
from millrace.decisions.record import Answered
from millrace.evaluation.evidence import Measure
from millrace.messages.monitor import FloorDay
from millrace.tasks.answer import PROBABILITY
from millrace.tasks.task import Task
from millrace.workload.policy import Floor

EPOCH, DAY = date(1970, 1, 1), 86_400_000_000
"""A day in microseconds."""
LEAST = 1e-6
"""The least probability that an answer counts with in the log loss."""


@dataclass(frozen=True, kw_only=True)
class FloorJudgement:
    """What the newest labels say."""

    below: bool
    """Whether the rule answers from now on."""
    days: tuple[FloorDay, ...]
    """The days that were compared, in order; so many as the next judgement may need."""


def judge(days: Sequence[FloorDay], *, below: bool, floor: Floor, is_share: bool) -> FloorJudgement:
    """The judgement on the days, in order of time. `below` is the one until now.

    `is_share` says whether the figures are shares of wrong answers."""
    near, kept = newest(days, floor.labels), newest(days, floor.labels_to_return)
    if not below:
        below = _is_better("rule", near, floor, floor.labels, is_share)
    elif _is_better("own", near, floor, floor.labels, is_share):
        below = not _is_better("own", kept, floor, floor.labels_to_return, is_share)
    return FloorJudgement(below=below, days=kept)


def newest(days: Sequence[FloorDay], labels: int) -> tuple[FloorDay, ...]:
    """As few of the newest days as hold so many labels; all of them if they hold fewer."""
    first, counted = len(days), 0
    while first and counted < labels:
        first -= 1
        counted += days[first].labels
    return tuple(days[first:])


def _is_better(
    who: Literal["own", "rule"], days: Sequence[FloorDay], floor: Floor, labels: int, is_share: bool
) -> bool:
    """Whether the version (`own`) or the rule is better by more than the margin on these days, with enough labels."""
    own, rule = (math.fsum(getattr(one, name) for one in days) for name in ("own", "rule"))
    counted = sum(one.labels for one in days)
    gain = own - rule if who == "rule" else rule - own
    return counted >= labels and gain > floor.margin * (counted if is_share else rule)


def together(before: Iterable[FloorDay], came: Iterable[FloorDay]) -> list[FloorDay]:
    """The days of both in order of time.

    A day is judged once, as windows are whole days: one that both have comes from a run that was repeated."""
    found = {one.day: one for one in (*before, *came)}
    return [found[day] for day in sorted(found)]


def compared(
    outcomes: Outcomes, rules: Iterable[Mapping[str, Answered] | None], task: Task, measure: Measure
) -> list[FloorDay]:
    """By day of their event time, what the version's answers and those of the rule have cost on labelled outcomes.

    `rules` are the rule's answers. An outcome that it cannot answer does not count."""
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    columns = (
        outcomes.column(OUTPUT + "value").to_pylist(),
        outcomes.answers(PROBABILITY).tolist(),
        outcomes.labels,
        outcomes.weights.tolist(),
        rules,
    )
    for day, value, probability, label, weight, rule in zip((outcomes.times // DAY).tolist(), *columns, strict=True):
        if rule is None:
            continue
        output = {"value": value} if math.isnan(probability) else {"value": value, PROBABILITY: probability}
        own, naive = (weight * cost(each, label, task, measure) for each in (output, rule))
        found[day].append((own, naive))
    return [_sum(day, found[day]) for day in sorted(found)]


def cost(output: Mapping[str, Answered], label: object, task: Task, measure: Measure) -> float:
    """The error of an answer, or its log loss if the gate measures by that and the answer has one probability."""
    probability = output.get(PROBABILITY)
    if measure != "log_loss" or not isinstance(probability, int | float):
        return task.error(output["value"], label)
    likelihood = probability if task.error(1, label) == 0 else 1 - probability
    return -math.log(max(likelihood, LEAST))


def is_share(task: Task, measure: Measure) -> bool:
    """Whether `cost` gives shares of wrong answers."""
    has_probability = any(field.name == PROBABILITY and not field.length for field in task.answer)
    return task.error_is_share and not (measure == "log_loss" and has_probability)


def _sum(day: int, costs: Sequence[tuple[float, float]]) -> FloorDay:
    date_ = (EPOCH + timedelta(days=day)).isoformat()
    own, rule = map(math.fsum, zip(*costs, strict=True))
    return FloorDay(day=date_, labels=len(costs), own=own, rule=rule)
