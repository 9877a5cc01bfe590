"""No part of the rows is served much worse than the whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.evaluation.gates.gate import IntervalGate, Positive, Refusal, Verdict, at_most, unknown, worst
from millrace.evaluation.report import Evaluation


class Slices(IntervalGate):
    """The values of each column apart: each value of a text, a boolean and few integers, else quarters."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of the contract; they need not be features."""
    max_error: Positive
    """Of the worst slice: a share of answers, or an amount in the label's unit."""
    minimum_rows: Annotated[int, Field(ge=1)] = 100
    """Of a slice that is judged."""
    refuse: Refusal = "when_certain"
    """The worst of many is bad by chance, too."""

    @property
    def columns_read(self) -> tuple[str, ...]:
        return self.columns

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the worst slice's error is at most `max_error`; without a slice of enough rows it fails."""
        found = report.slices.slices if report.slices else ()
        errors = [(one.error, one) for one in found if one.error is not None]
        if not errors:
            return unknown("slices", self.max_error, f"the report holds no slice of {self.minimum_rows} rows")
        error, hardest = max(errors, key=lambda each: worst(self.held(each[0], at_most=True)))
        few = len(found) - len(errors)
        return at_most(
            "slices",
            self.held(error, at_most=True),
            self.max_error,
            warns=self.doubted(error, at_most=True) > self.max_error,
            figure=f"{report.error.name} of the worst slice",
            unit=report.error.unit,
            sentence=f"{report.error.name} {error.words()} on the {hardest.rows} rows with {hardest.column} = "
            f"{hardest.value}, the worst of {len(errors)} slices; at most {self.max_error:g} allowed"
            + (f"; {few} with fewer than {self.minimum_rows} rows are not judged" if few else ""),
        )
