"""The naive rules of a workload's gate `baseline`. Add a rule: a file with its class, and its name in `NaiveRule`."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field

from millrace.evaluation.evidence import Measure
from millrace.evaluation.naive.constant import BaseRate, Mean, Median
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.evaluation.report import NaiveFigures
from millrace.tasks.task import Task

NaiveRule = Annotated[SeasonalNaive | BaseRate | Median | Mean, Field(discriminator="kind")]

# The kind of a rule is its discriminator: the one value of the Literal that annotates the field `kind`.
NAIVE_RULES: dict[str, type[NaiveGate]] = {
    get_args(rule.model_fields["kind"].annotation)[0]: rule for rule in get_args(get_args(NaiveRule)[0])
}
"""The classes of the rules by kind: `{"seasonal_naive": SeasonalNaive, …}`."""


def measure_of(kind: str) -> Measure:
    """What a model and the rule of this kind are compared by; the error for a rule that is gone from the catalogue."""
    return NAIVE_RULES.get(kind, NaiveGate).measure


def suiting(task: Task) -> list[str]:
    """The kinds of the rules that make sense for the task."""
    return [kind for kind, rule in NAIVE_RULES.items() if rule.suits(task)]


def naive_figures(rule: NaiveGate, rows: LabelledRows, task: Task) -> NaiveFigures:
    """The task's metrics of the rule, on the test rows that the rule can answer.

    Raises SnapshotError if it can answer none of them."""
    return figures_of(rule, rule.answer(rows, task), rows, task)


def figures_of(rule: NaiveGate, found: NaiveAnswer, rows: LabelledRows, task: Task) -> NaiveFigures:
    """The task's metrics of the rule's answers `found`."""
    target_T = rows.target_N[rows.test][found.rows_T]
    metrics = task.metrics(found.output_TW, target_T)
    return NaiveFigures(rule=rule.kind, rows=len(target_T), metrics=metrics, answer=_answer(found, task))


def _answer(found: NaiveAnswer, task: Task) -> dict[str, Any] | None:
    """The answer that the rule gives to every row; None for a rule that looks back from each row."""
    if not found.is_constant:
        return None
    return {name: cells.tolist()[0] for name, cells in task.answers(found.output_TW[:1]).items()}
