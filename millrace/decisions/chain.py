"""Who answers in place of the model: the answerers of `prediction.fallback`, of which the first that can answers a row.

fallback: [rule, {constant: 0.5}]

rule       the naive rule of `gates.baseline`: what the evaluation of the live version found for every row, or what is
           known of the row's key
constant   the declared value
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.decisions.record import Answered, AnsweredBy
from millrace.tasks.answer import empty_answer

if TYPE_CHECKING:
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Prediction

Output = Mapping[str, Answered]
Answerer = Callable[[Mapping[str, Any]], Output | None]
"""The answer to the row with these cells; None if it cannot answer it."""


@dataclass(frozen=True, kw_only=True)
class Instead:
    """The answer to a row in place of the model's."""

    output: Output
    """Every field is None if nobody could answer."""
    answered_by: AnsweredBy | None


def answerers(
    prediction: Prediction, task: Task, *, rule: Output | None, of_row: Answerer | None = None
) -> dict[AnsweredBy, Answerer]:
    """The declared answerers in their order. `rule` is what the naive rule answers to every row; None if unknown.

    `of_row` is the rule if its answer depends on the row."""
    constant = prediction.constant
    rule = rule if "rule" in prediction.fallback else None
    return {
        "rule": of_row or _always(rule),
        "constant": _always(None if constant is None else task.constant(constant)),
    }


def repeated(labels: Sequence[Any], prediction: Prediction, task: Task) -> Output | None:
    """The answer that repeats these labels, one for each horizon; None if one of them is not known."""
    if any(label is None for label in labels):
        return None
    if prediction.horizons_hours:
        return task.constant([*labels])
    return task.constant(float(labels[0] == prediction.positive) if task.kind == "binary" else labels[0])


def answer_instead(
    rows: Sequence[Mapping[str, Any]], chain: Mapping[AnsweredBy, Answerer], task: Task
) -> list[Instead]:
    """The answer to each row, given by its cells, of the first answerer that has one."""
    nobody = Instead(output=empty_answer(task.answer), answered_by=None)

    def first(cells: Mapping[str, Any]) -> Instead:
        found = ((name, answer(cells)) for name, answer in chain.items())
        return next((Instead(output=one, answered_by=name) for name, one in found if one is not None), nobody)

    return [first(cells) for cells in rows]


def _always(output: Output | None) -> Answerer:
    return lambda _: output
