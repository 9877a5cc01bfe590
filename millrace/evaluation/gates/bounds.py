"""Gates that hold one figure of the report against one declared bound. A report without the figure is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from millrace.evaluation.evidence import Estimate, GateEvidence
from millrace.evaluation.gates.gate import (
    Gate,
    IntervalGate,
    Positive,
    Share,
    Verdict,
    held_to,
    scaled,
    unknown,
    worst,
)
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.figures import words
from millrace.tasks.task import Task


class FiniteWeights(Gate):
    """Refuses a model with a weight that is NaN or infinity, which safetensors loads without an error.

    It is always judged and has no bound to declare."""

    def judge(self, report: Evaluation) -> Verdict:
        found = "are all finite" if report.finite_weights else "hold NaN or infinity"
        measured = float(report.finite_weights)
        return Verdict(passed=measured == 1, measured=measured, bound=1.0, sentence=f"the weights {found}")


class Latency(Gate):
    """Refuses a model that answers one row too slowly: `{max_p99_ms: 20}`."""

    max_p99_ms: Positive
    """The largest 99th percentile of the time of one call, in milliseconds."""

    def judge(self, report: Evaluation) -> Verdict:
        measured, rows = report.latency_ms.p99, report.latency_ms.rows
        sentence = f"p99 {measured:.3f} ms for {rows} row(s); at most {self.max_p99_ms} ms allowed"
        return held_to(self.max_p99_ms, measured, figure="p99 of one call", unit="ms", sentence=sentence)


class Size(Gate):
    """Refuses a model whose archive is too large: `{max_mb: 10}`."""

    max_mb: Positive
    """The largest model.tar.gz, in MB of 10⁶ bytes, so that an instance loads it quickly."""

    def judge(self, report: Evaluation) -> Verdict:
        measured = report.size_mb if report.size_mb > 0 else math.nan  # there is no empty archive
        sentence = f"model.tar.gz is {report.size_mb:.3f} MB; at most {self.max_mb} MB allowed"
        return held_to(self.max_mb, measured, figure="model.tar.gz", unit="MB", sentence=sentence)


class Freshness(Gate):
    """Refuses a model whose test days ended long before the training: `{max_age_days: 30}`."""

    max_age_days: Positive
    """The most days from the end of the test days to the time of the training."""

    def judge(self, report: Evaluation) -> Verdict:
        age = math.nan if report.age_days is None else report.age_days
        sentence = f"the test days ended {age:.1f} days before the training; at most {self.max_age_days:g} allowed"
        return held_to(self.max_age_days, age, figure="age of the test days", unit="days", sentence=sentence)


class Calibration(Gate):
    """Refuses a model whose probabilities are off, for a task whose answers are probabilities: `{max_ece: 0.15}`."""

    max_ece: Positive
    """The largest expected calibration error that passes, a share 0 to 1."""

    def misfit(self, task: Task, features: Signature) -> str:
        if task.objective.is_calibrated:
            return ""
        return f"no such gate for the task {task.kind}, whose answers are no probabilities"

    def judge(self, report: Evaluation) -> Verdict:
        figure, ece = "expected calibration error", report.metrics.get("ece")
        measured = math.nan if ece is None else ece
        sentence = f"{figure} {measured:.4f}; at most {self.max_ece} allowed"
        return held_to(self.max_ece, measured, figure=figure, sentence=sentence)


class Stability(Gate):
    """Refuses a model if models of other seeds have very different errors.

    Its error is then chance, and the next training of the same declaration may have another one."""

    seeds: Annotated[int, Field(ge=1, le=9)] = 2
    """How many more models are trained, each with a seed of its own. They are only judged on the test rows."""
    max_spread: Share
    """The largest spread: the highest error minus the lowest, the model's own error included.

    It is a difference of two shares; for an error that is an amount, a share of the model's error."""

    def judge(self, report: Evaluation) -> Verdict:
        # NaN is sorted last, so the spread is NaN and the gate refuses.
        bar, errors = scaled(self.max_spread, report), sorted(report.seed_errors, key=worst)
        if len(errors) <= self.seeds:
            return unknown(bar, f"the report holds no errors of {self.seeds} other seeds")
        amount, spread = report.error.amount, errors[-1] - errors[0]
        return held_to(
            bar,
            spread,
            figure="errors of other seeds apart",
            unit=report.error.unit,
            sentence=f"{report.error.name} {amount(errors[0])} to {amount(errors[-1])} with {len(errors)} seeds, "
            f"{spread:.4g} apart; at most {bar:.4g} allowed",
        )


class MemorisationEvidence(GateEvidence):
    gate = "memorisation"

    rows: int
    """The number of training rows that were answered, spread evenly over all training rows."""
    train_error: float
    gap: Estimate
    """The error on the test rows minus the error on these training rows."""


class Memorisation(IntervalGate):
    """Refuses a model whose error on test rows is far above its error on training rows.

    If rows are in the order of time, the gap also contains what has changed since the training."""

    evidence = MemorisationEvidence

    max_gap: Share
    """The largest gap, test error minus train error.

    It is a difference of two shares; for an error that is an amount, a share of the test error."""

    def judge(self, report: Evaluation) -> Verdict:
        found, bar = report.of(MemorisationEvidence), scaled(self.max_gap, report)
        if found is None:
            return unknown(bar, "the report holds no error on the training rows")
        amount = report.error.amount
        return self.verdict(
            found.gap,
            bar,
            figure="error on test rows above that on training rows",
            unit=report.error.unit,
            sentence=f"{report.error.name} {amount(found.train_error)} on {found.rows} training rows, on the test rows "
            f"{found.gap.words('+.4g')} above that; at most {bar:+.4g} allowed",
        )


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
