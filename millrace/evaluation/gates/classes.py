"""Gates on figures of answers that are classes: recall, precision, AUC, and the mean cost at a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from millrace.evaluation.evidence import Estimate, GateEvidence
from millrace.evaluation.gates.gate import IntervalGate, Positive, Share, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.tasks.figures import words

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClassFigure(IntervalGate):
    """A figure of the report is high enough."""

    figures: ClassVar[Mapping[str, str]]
    """The figure by the kind of task; a task that is not here has none."""

    at_least: Share

    def misfit(self, task: Task, features: Signature) -> str:
        return "" if task.kind in self.figures else f"no such gate; it is for the tasks {', '.join(self.figures)}"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the figure is at least the bar; a figure that cannot be computed fails."""
        figure = self.figures.get(report.task, "")
        value, bar = report.metrics.get(figure), self.at_least
        if value is None:
            return unknown(bar, f"the test rows have no {words(figure)}")
        found = report.intervals.get(figure) or Estimate(value=value, low=math.nan, high=math.nan)
        return self.verdict(
            found,
            bar,
            is_most=False,
            figure=words(figure),
            sentence=f"{words(figure)} {found.words('.4f')}; at least {bar} required",
        )


class Recall(ClassFigure):
    """Refuses a model that finds too few rows of the positive class, or of each class on average: `{at_least: 0.8}`."""

    figures: ClassVar[Mapping[str, str]] = {"binary": "recall", "multiclass": "macro_recall"}


class Precision(ClassFigure):
    """Refuses a model that is right too seldom when it answers the positive class: `{at_least: 0.5}`."""

    figures: ClassVar[Mapping[str, str]] = {"binary": "precision"}


class Auc(ClassFigure):
    """Refuses a model that ranks rows too badly, by the labels' mean if there are several: `{at_least: 0.75}`."""

    figures: ClassVar[Mapping[str, str]] = {"binary": "auc", "multilabel": "auc"}


class MeanCostEvidence(GateEvidence):
    """What an answer costs on the test rows, by the costs of the gate `mean_cost`."""

    gate = "mean_cost"

    threshold: float
    """The probability from which on an answer counts as the positive class."""
    cost: Estimate


class MeanCost(IntervalGate):
    """Refuses a model whose wrong answers cost too much: `{false_positive: 1, false_negative: 20, at_most: 0.8}`.

    For two classes."""

    evidence = MeanCostEvidence

    false_positive: Amount
    false_negative: Amount
    at_most: Positive
    """The highest mean cost of an answer, right ones included."""
    threshold: Share | None = None
    """The probability from which on the answer is the positive class; without it that of the workload's answers."""

    def misfit(self, task: Task, features: Signature) -> str:
        return "" if task.kind == "binary" else "no such gate; it is for the task binary"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the mean cost is at most the bar; a report without it fails."""
        found, bar = report.of(MeanCostEvidence), self.at_most
        if found is None:
            return unknown(bar, "the report holds no mean cost")
        return self.verdict(
            found.cost,
            bar,
            figure="mean cost of an answer",
            sentence=f"{found.cost.words('.4g')} at the threshold {found.threshold:g}; at most {bar:g} allowed",
        )
