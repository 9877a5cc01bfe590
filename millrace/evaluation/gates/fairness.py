"""The gate `fairness`: the groups of a column are answered alike.

The measures have the names and definitions of fairlearn (equalised odds: Hardt, Price and Srebro 2016). The four-fifths
rule of the US Uniform Guidelines (29 CFR 1607.4 D) takes a demographic parity ratio below 0.8 for evidence of adverse
impact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from millrace.evaluation.evidence import Estimate, Figures, GateEvidence
from millrace.evaluation.gates.gate import IntervalGate, Positive, Refusal, Share, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.task import Task


class GroupFigures(Figures):
    """One group of people, or of whatever the column divides: the test rows with one value in one column.

    The three rates are shares, 0 to 1. They are None for a task without a positive class, and if the group has no row
    to count."""

    column: str
    value: str
    rows: int
    error: float
    selection_rate: float | None = None
    """Share of the answers that are the positive class."""
    true_positive_rate: float | None = None
    """Share of the rows of the positive class that are answered as it."""
    false_positive_rate: float | None = None
    """Share of the rows of the other class that are answered as the positive one."""


class Disparity(Figures):
    """How far apart the groups of one column are by one measure."""

    column: str
    measure: str
    """A key of the gate `fairness` without `max_` or `min_`, such as `demographic_parity_difference`."""
    figure: Estimate
    lowest: str
    """The group with the lowest rate, with that rate: "f (0.123)"."""
    highest: str
    """The group with the highest rate, written like `lowest`."""


class FairnessEvidence(GateEvidence):
    gate = "fairness"

    groups: tuple[GroupFigures, ...]
    disparities: tuple[Disparity, ...]


class Fairness(IntervalGate):
    """Refuses a model that answers the groups of a column too differently.

    At least one bar must be declared. Each bar holds for each of the columns."""

    evidence = FairnessEvidence
    needs_one_of: ClassVar[tuple[str, ...]] = (
        "max_demographic_parity_difference",
        "min_demographic_parity_ratio",
        "max_equalized_odds_difference",
        "max_error_difference",
    )

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of the contract. They need not be features, and mostly they must not be."""
    max_demographic_parity_difference: Share | None = None
    """Bar on the share of positive answers: the highest group's minus the lowest group's."""
    min_demographic_parity_ratio: Share | None = None
    """Bar on the share of positive answers: the lowest group's divided by the highest group's."""
    max_equalized_odds_difference: Share | None = None
    """Bar on the larger one of two differences between groups: of the true and of the false positive rates."""
    max_error_difference: Positive | None = None
    """Bar on the mean error: the highest group's minus the lowest group's. The one bar for every task."""
    minimum_rows: Annotated[int, Field(ge=1)] = 100
    """A group with fewer test rows is not judged."""
    refuse: Refusal = "when_certain"

    def bars(self) -> dict[str, float]:
        """The declared bars by their keys: `{"min_demographic_parity_ratio": 0.8}`."""
        found = {name: getattr(self, name) for name in self.needs_one_of}
        return {name: bar for name, bar in found.items() if bar is not None}

    def misfit(self, task: Task, features: Signature) -> str:
        if task.kind == "binary" or set(self.bars()) == {"max_error_difference"}:
            return ""
        return "max_error_difference alone, as there is no positive class"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if each column keeps each bar; a column without two groups of enough rows fails.

        The verdict has the figure and the bar of the hardest case, and the sentences of all."""
        found = evidence.disparities if (evidence := report.of(FairnessEvidence)) else ()
        judged = [
            self._judged(name, bar, column, found) for column in self.columns for name, bar in self.bars().items()
        ]
        # One verdict for all cases: a refused one first, else one with a warning, else the first.
        hardest = max(judged, key=lambda one: (not one.passed, one.is_warning))
        return replace(hardest, sentence="; ".join(one.sentence for one in judged))

    def _judged(self, name: str, bar: float, column: str, found: tuple[Disparity, ...]) -> Verdict:
        """The verdict on one column by one bar; `found` has the disparities of all columns."""
        # The key holds measure and direction: `max_error_difference` is an upper bar, `min_…_ratio` a lower one.
        measure, is_most = name[4:], name.startswith("max_")
        one = next((one for one in found if (one.column, one.measure) == (column, measure)), None)
        words = measure.replace("_", " ")
        if one is None:
            return unknown(bar, f"{column}: no {words}, since fewer than two groups have {self.minimum_rows} rows")
        sentence = (
            f"{column}: {words} {one.figure.words('.3f')} between {one.lowest} and {one.highest}; "
            f"at {'most' if is_most else 'least'} {bar:g} {'allowed' if is_most else 'required'}"
        )
        return self.verdict(one.figure, bar, is_most=is_most, figure=f"{words} of {column}", sentence=sentence)
