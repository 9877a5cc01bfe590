"""The groups of a column are answered alike.

The measures are those of fairlearn (Hardt, Price and Srebro 2016 for equalised odds); a ratio below 0.8 is what the
four-fifths rule of the US Uniform Guidelines (29 CFR 1607.4 D) takes for evidence of adverse impact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from millrace.evaluation.evidence import Disparity
from millrace.evaluation.gates.gate import IntervalGate, Positive, Refusal, Share, Verdict, at_least, at_most, unknown
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Fairness(IntervalGate):
    """One bar at least is declared; each is held for each column."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of the contract; they need not be features, and mostly must not."""
    max_demographic_parity_difference: Share | None = None
    """Of the shares of positive answers: highest group minus lowest."""
    min_demographic_parity_ratio: Share | None = None
    """Lowest group over highest."""
    max_equalized_odds_difference: Share | None = None
    """The larger difference of the true and of the false positive rates."""
    max_error_difference: Positive | None = None
    """Of the mean errors; for every task."""
    minimum_rows: Annotated[int, Field(ge=1)] = 100
    """Of a group that is judged."""
    refuse: Refusal = "when_certain"

    @model_validator(mode="after")
    def _has_a_bar(self) -> Fairness:
        if not self.bars():
            raise ValueError("expected one bar at least, such as max_demographic_parity_difference")
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        return self.columns

    def bars(self) -> dict[str, float]:
        """The declared bars by their keys."""
        found = {name: getattr(self, name) for name in type(self).model_fields if name[:4] in ("max_", "min_")}
        return {name: bar for name, bar in found.items() if bar is not None}

    def misfit(self, task: Task, features: Signature) -> str:
        if task.kind == "binary" or set(self.bars()) == {"max_error_difference"}:
            return ""
        return "max_error_difference alone, as there is no positive class"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when each column keeps each bar; without two groups of enough rows it fails."""
        found = report.fairness.disparities if report.fairness else ()
        judged = [
            self._judged(name, bar, column, found) for column in self.columns for name, bar in self.bars().items()
        ]
        hardest = max(judged, key=lambda one: (not one.passed, one.is_warning))
        return replace(hardest, name="fairness", sentence="; ".join(one.sentence for one in judged))

    def _judged(self, name: str, bar: float, column: str, found: tuple[Disparity, ...]) -> Verdict:
        """Of one column and one bar."""
        measure, is_most = name[4:], name.startswith("max_")
        one = next((one for one in found if (one.column, one.measure) == (column, measure)), None)
        words = measure.replace("_", " ")
        if one is None:
            return unknown(
                name, bar, f"{column}: no {words}, since fewer than two groups have {self.minimum_rows} rows"
            )
        sentence = (
            f"{column}: {words} {one.figure.words('.3f')} between {one.lowest} and {one.highest}; "
            f"at {'most' if is_most else 'least'} {bar:g} {'allowed' if is_most else 'required'}"
        )
        doubted = self.doubted(one.figure, at_most=is_most)
        return (at_most if is_most else at_least)(
            name,
            self.held(one.figure, at_most=is_most),
            bar,
            warns=doubted > bar if is_most else doubted < bar,
            figure=f"{words} of {column}",
            sentence=sentence,
        )
