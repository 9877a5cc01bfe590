"""The gate `leakage`: no column gives the label away, and no test row was seen in training."""

from __future__ import annotations

from typing import ClassVar

from millrace.evaluation.evidence import Figures, GateEvidence
from millrace.evaluation.gates.gate import Gate, Share, Verdict, held_to, unknown
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.answer import has_parts
from millrace.tasks.task import Task


class FeatureLeak(Figures):
    column: str
    explained: float
    """How well this column alone predicts the label.

    It is the share of the best constant answer's error that a rule of this column removes. If the rule is always right,
    it is 1."""


class LeakageEvidence(GateEvidence):
    gate = "leakage"

    features: tuple[FeatureLeak, ...]
    """The columns, the one that explains most first."""
    duplicates: float
    """Share of the test rows for which some training row is equal, or nearly equal, in every feature."""


class Leakage(Gate):
    """Refuses a model that is too good to be true: leaked rows make its figures wrong. One bar at least is declared."""

    evidence = LeakageEvidence
    needs_one_of: ClassVar[tuple[str, ...]] = ("max_feature", "max_duplicates")

    max_feature: Share | None = None
    """How much of the best constant answer's error a rule of one column alone may remove.

    A column that removes 0.95 of it is nearly the label itself."""
    max_duplicates: Share | None = None
    """Share of the test rows that may equal a training row in every feature, up to rounding."""

    def misfit(self, task: Task, features: Signature) -> str:
        if self.max_feature is not None and has_parts(task):
            return "max_duplicates alone, as a row's answer has several parts"
        return ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if every declared bar is kept; a report without the evidence fails."""
        found = report.of(LeakageEvidence)
        if found is None:
            return unknown(0.0, "the report holds no search for leaks")
        worst = max(found.features, key=lambda one: one.explained, default=None)
        explained = worst.explained if worst else 0.0
        column = f"{worst.column} alone removes {explained:.1%} of the error" if worst else "no column alone is a rule"
        judged = [
            (figure, bar, f"{sentence}, at most {bar:.1%} allowed")
            for figure, bar, sentence in (
                (explained, self.max_feature, column),
                (found.duplicates, self.max_duplicates, f"{found.duplicates:.1%} of the test rows are training rows"),
            )
            if bar is not None
        ]
        # The first bar that is broken, NaN among these, else the first one.
        measured, bar, _ = next((each for each in judged if not each[0] <= each[1]), judged[0])
        return held_to(bar, measured, sentence="; ".join(sentence for *_, sentence in judged))
