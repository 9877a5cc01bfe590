"""The decisions are worth more than today's, in the owner's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from millrace.evaluation.gates.gate import IntervalGate, Positive, Verdict, at_least, unknown
from millrace.evaluation.report import Evaluation
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Worth(BaseModel):
    """What one decision is worth; a cost is below 0. The keys say for which task it is."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class BinaryWorth(Worth):
    """By answer and label of two classes."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


class ClassWorth(Worth):
    """Of several classes: any right answer and any wrong one, but for the pairs that are named."""

    right: float
    wrong: float
    pairs: dict[str, dict[str, float]] = {}
    """By label, then by answer."""


class NumberWorth(Worth):
    """Of each unit of the label by which an answer lies above or below it."""

    above: float
    below: float


class Value(IntervalGate):
    """Example: `{unit: EUR, per: month, decisions: 20000, worth: {true_positive: 50, false_positive: -5,
    false_negative: -20, true_negative: 0}, more_than_today: 0}`."""

    unit: str
    """What the amounts count."""
    per: str = "month"
    decisions: Positive
    """In one such period."""
    worth: BinaryWorth | ClassWorth | NumberWorth
    more_than_today: float = 0.0
    """In the unit and period: how much more than the decisions of the champion, or of the naive rule before there is
    one."""

    def misfit(self, task: Task, features: Signature) -> str:
        if has_parts(task):
            return "no such gate, as a row's answer has several parts"
        expected: type[Worth] = NumberWorth
        if task.error_is_share:
            expected = BinaryWorth if task.objective.width == 1 else ClassWorth
        if not isinstance(self.worth, expected):
            return f"worth: {', '.join(expected.model_fields)}"
        named = {name for label, row in getattr(self.worth, "pairs", {}).items() for name in (label, *row)}
        unknown = sorted(named - {str(name) for name in getattr(task, "classes", ())})
        return f"worth.pairs of its classes, and none called {', '.join(unknown)}" if unknown else ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the gain over today's decisions is at least `more_than_today`."""
        value, bar = report.value, self.more_than_today
        if value is None:
            return unknown("value", bar, "the report holds no value of the decisions")
        word = "more" if value.gain.value >= 0 else "less"
        return at_least(
            "value",
            self.held(value.gain, at_most=False),
            bar,
            warns=self.doubted(value.gain, at_most=False) < bar,
            figure=f"gain over today's decisions, a {self.per}",
            unit=self.unit,
            sentence=f"{abs(value.gain.value):,.0f} {self.unit} a {self.per} {word} than today's ({value.today}; gain "
            f"{value.gain.low:+,.0f} to {value.gain.high:+,.0f}), of {value.value.value:,.0f}; "
            f"at least {bar:+,.0f} required",
        )
