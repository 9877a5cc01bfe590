"""The gate `cases`: rows by name that every version must answer as their owner says, each with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from millrace.evaluation.evidence import Figures, GateEvidence
from millrace.evaluation.gates.gate import Gate, GateSection, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.task import Task

Words = Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]


class AnswerRange(GateSection):
    """The numbers that are right: `{at_least: 0, at_most: 20}`, or one of both."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        low = f"at least {self.at_least:g}" if self.at_least is not None else ""
        high = f"at most {self.at_most:g}" if self.at_most is not None else ""
        return " and ".join(filter(None, (low, high))) or "any number"

    def holds(self, number: Any) -> bool:
        """Whether it is a number of the range; NaN never is."""
        if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
            return False
        return (self.at_least is None or number >= self.at_least) and (self.at_most is None or number <= self.at_most)


class NamedCase(GateSection):
    """One row, what every version must answer to it, and why."""

    name: Words
    reason: Words
    """In the owner's words: what a wrong answer to this row would do."""
    row: Mapping[str, Any]
    """The row as a caller sends it, without its history."""
    answer: Annotated[Mapping[str, AnswerRange | bool | int | float | str], Field(min_length=1)]
    """By field of the task's answer: the value itself, or the range of a number."""


class CaseAnswer(Figures):
    """The candidate's answer to one row of the gate `cases`."""

    name: str
    reason: str
    """Why the answer matters, in the owner's words."""
    expected: str
    """For example `value 0` or `value at most 20`."""
    came: str
    is_right: bool


class CasesEvidence(GateEvidence):
    """The answers to the named rows, in the order in which they are declared."""

    gate = "cases"

    cases: tuple[CaseAnswer, ...]


class Cases(Gate):
    """Refuses a version that answers one of these rows otherwise: `rows` has a name, a reason, a row and its answer."""

    evidence = CasesEvidence

    rows: Annotated[tuple[NamedCase, ...], Field(min_length=1, max_length=200)]

    def misfit(self, task: Task, features: Signature) -> str:
        """Each answer names fields of the task's answer that are one value."""
        fields = [field.name for field in task.answer if not field.length]
        wrong = sorted({name for case in self.rows for name in case.answer} - set(fields))
        if not wrong:
            return ""
        return f"answers by {', '.join(fields) or 'no field that is one value'}, not by {', '.join(wrong)}"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if every row is answered as it must be."""
        found = report.of(CasesEvidence)
        if found is None:
            return unknown(0.0, "the report holds no answers to the named rows")
        wrong = [one for one in found.cases if not one.is_right]
        names = "; ".join(f"{one.name} ({one.reason}): {one.expected} expected, {one.came} came" for one in wrong)
        return Verdict(
            passed=bool(found.cases) and not wrong,
            measured=float(len(wrong)),
            bound=0.0,
            sentence=names or f"all {len(found.cases)} named rows are answered as they must be",
        )
