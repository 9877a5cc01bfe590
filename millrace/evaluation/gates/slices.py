"""The gate `slices`: the error is not too high on any value of the named columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.evaluation.evidence import Estimate, Figures, GateEvidence
from millrace.evaluation.gates.gate import IntervalGate, Positive, Refusal, Verdict, unknown, worst
from millrace.evaluation.report import Evaluation


class SliceFigures(Figures):
    """The test rows with one value in one column."""

    column: str
    value: str
    rows: int
    error: Estimate | None = None
    """The mean error; None if the rows are fewer than the gate's `minimum_rows`."""


class SlicesEvidence(GateEvidence):
    gate = "slices"

    slices: tuple[SliceFigures, ...]


class Slices(IntervalGate):
    """Refuses a model with too high an error on one slice: `{columns: [region, age], max_error: 0.3}`.

    A slice is the test rows with one value of one column. A number with many values is cut into quarters."""

    evidence = SlicesEvidence

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of the contract; they need not be features."""
    max_error: Positive
    """The largest mean error of the worst slice: a share of answers, or an amount in the label's unit."""
    minimum_rows: Annotated[int, Field(ge=1)] = 100
    """A slice with fewer test rows is not judged."""
    refuse: Refusal = "when_certain"
    """More lenient than the default of other gates, since the worst of many slices is bad by chance, too."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the worst slice's error is at most `max_error`; without a slice of enough rows the gate refuses."""
        found = evidence.slices if (evidence := report.of(SlicesEvidence)) else ()
        errors = [(one.error, one) for one in found if one.error is not None]
        if not errors:
            return unknown(self.max_error, f"the report holds no slice of {self.minimum_rows} rows")
        error, hardest = max(errors, key=lambda each: worst(self.held(each[0], at_most=True)))
        few = len(found) - len(errors)
        return self.verdict(
            error,
            self.max_error,
            figure=f"{report.error.name} of the worst slice",
            unit=report.error.unit,
            sentence=f"{report.error.name} {error.words()} on the {hardest.rows} rows with {hardest.column} = "
            f"{hardest.value}, the worst of {len(errors)} slices; at most {self.max_error:g} allowed"
            + (f"; {few} with fewer than {self.minimum_rows} rows are not judged" if few else ""),
        )
