"""The gate `value`: the model's decisions are worth more than today's, in a unit that the workload declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millrace.evaluation.evidence import Estimate, GateEvidence
from millrace.evaluation.gates.gate import GateSection, IntervalGate, Positive, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Worth(GateSection):
    """What one decision is worth, in the gate's unit; a cost is below 0. Each subclass is for one kind of task."""


class BinaryWorth(Worth):
    """The worth of a decision between two classes, by answer and label."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


class ClassWorth(Worth):
    """The worth of a decision among several classes: of any right answer, of any wrong one, and of named pairs."""

    right: float
    wrong: float
    pairs: Mapping[str, Mapping[str, float]] = {}
    """The worth of single pairs, by label, then by answer: `{"fire": {"smoke": -1}}` for fire answered as smoke."""


class NumberWorth(Worth):
    """The worth of each unit of the label by which an answer lies above or below the label; mostly below 0."""

    above: float
    below: float


class ValueEvidence(GateEvidence):
    """What the decisions are worth in one period of the gate `value`, in the unit that the gate declares."""

    gate = "value"

    today: str
    """The name of what decides today: the champion, or the naive rule before there is a champion."""
    value: Estimate
    """The worth of the candidate's decisions."""
    gain: Estimate
    """The worth of the candidate's decisions minus the worth of today's decisions, on the same rows."""


class Value(IntervalGate):
    """Refuses a model whose decisions are worth too little.

    Example: `{unit: EUR, per: month, decisions: 20000, worth: {true_positive: 50, false_positive: -5,
    false_negative: -20, true_negative: 0}, more_than_today: 0}`."""

    evidence = ValueEvidence

    unit: str
    """The unit of all amounts, such as EUR."""
    per: str = "month"
    """The name of the period, for sentences."""
    decisions: Positive
    """The number of decisions in one period."""
    worth: BinaryWorth | ClassWorth | NumberWorth
    more_than_today: float = 0.0
    """How much more the decisions must be worth in one period than today's decisions.

    Today's decisions are those of the champion, or of the naive rule before there is a champion."""

    def misfit(self, task: Task, features: Signature) -> str:
        if has_parts(task):
            return "no such gate, as a row's answer has several parts"
        # Pydantic has chosen the class by the keys of `worth`; the task says which class it must be.
        expected: type[Worth] = NumberWorth
        if task.error_is_share:
            expected = BinaryWorth if task.objective.width == 1 else ClassWorth
        if not isinstance(self.worth, expected):
            return f"worth: {', '.join(expected.model_fields)}"
        # Pairs may name only classes of the task; tasks without classes have no pairs.
        named = {name for label, row in getattr(self.worth, "pairs", {}).items() for name in (label, *row)}
        unknown = sorted(named - {str(name) for name in getattr(task, "classes", ())})
        return f"worth.pairs of its classes, and none called {', '.join(unknown)}" if unknown else ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the gain over today's decisions is at least `more_than_today`; a report without the value fails."""
        value, bar = report.of(ValueEvidence), self.more_than_today
        if value is None:
            return unknown(bar, "the report holds no value of the decisions")
        word = "more" if value.gain.value >= 0 else "less"
        return self.verdict(
            value.gain,
            bar,
            is_most=False,
            figure=f"gain over today's decisions, a {self.per}",
            unit=self.unit,
            sentence=f"{abs(value.gain.value):,.0f} {self.unit} a {self.per} {word} than today's ({value.today}; gain "
            f"{value.gain.low:+,.0f} to {value.gain.high:+,.0f}), of {value.value.value:,.0f}; "
            f"at least {bar:+,.0f} required",
        )
