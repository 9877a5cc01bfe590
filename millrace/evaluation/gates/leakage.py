"""The gate `leakage`: no column gives the label away."""

from __future__ import annotations

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


class Leakage(Gate):
    """Refuses a model that is too good to be true: one column nearly is the label."""

    evidence = LeakageEvidence

    max_feature: Share
    """How much of the best constant answer's error a rule of one column alone may remove.

    A column that removes 0.95 of it is nearly the label itself."""

    def misfit(self, task: Task, features: Signature) -> str:
        return "no such gate, as a row's answer has several parts" if has_parts(task) else ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if no column alone removes more; a report without the evidence fails."""
        found = report.of(LeakageEvidence)
        if found is None:
            return unknown(0.0, "the report holds no search for leaks")
        worst = max(found.features, key=lambda one: one.explained, default=None)
        explained = worst.explained if worst else 0.0
        column = f"{worst.column} alone removes {explained:.1%} of the error" if worst else "no column alone is a rule"
        return held_to(self.max_feature, explained, sentence=f"{column}, at most {self.max_feature:.1%} allowed")
