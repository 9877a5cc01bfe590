"""Gates on figures of answers that are classes: recall, precision and AUC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.tasks.figures import words

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


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
