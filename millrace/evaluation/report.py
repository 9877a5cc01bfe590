"""The report on one evaluated model, `evaluation.json`.

The evaluation job writes it; the gates, the console and the tracking read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field

from millrace.evaluation.evidence import (
    AutomationEvidence,
    Contender,
    CostEvidence,
    CutAnswers,
    Estimate,
    ExampleExplanation,
    ExplanationEvidence,
    Figures,
    ForecastExample,
    GateEvidence,
    HiddenGroups,
    LearningEvidence,
    Measure,
    Mistake,
    PartFigures,
    TruthByAnswer,
    Who,
)
from millrace.evaluation.sample import Sample
from millrace.tasks.figures import short
from millrace.tasks.metrics import FrozenErrors, ReliabilityBin, WindowError

EVALUATION_FILE = "evaluation.json"
Found = TypeVar("Found", bound=GateEvidence)


def why_outdated(beside: str, live: str) -> str:
    """Why an evaluation no longer counts: the model was compared with another version than the live one.

    `beside` is the number of the version that it was compared with, `live` the number of the live version; each is
    empty for no version. The text is empty if both are the same."""
    if beside == live:
        return ""
    came, now = (f"version {one}" if one else "no version" for one in (beside, live))
    again = "a new run compares with it: millrace train, or millrace register again"
    return f"evaluated beside {came}, but {now} is live now; {again}"


class RowCounts(Figures):
    test: int
    held_out: int = 0
    """All test rows, of which `test` were chosen by the hash of their key; 0 in reports of former versions."""


class Span(Figures):
    """A span of event time in ISO 8601: `from_` belongs to it, `to` does not."""

    from_: str = Field(alias="from")
    to: str


class ErrorMeaning(Figures):
    """What `error` means in the whole report; the smaller an error, the better."""

    name: str
    """The name for a page: "share of wrong answers", "mean absolute error"."""
    is_share: bool
    """Whether an error is a share of answers, 0 to 1, and not an amount in the label's unit.

    For a share, a margin of a gate is a difference of two errors. For an amount, it is a share of the error that is to
    be beaten."""

    unit: str = ""
    """The unit of an amount, such as µg/m³; empty for a share, and if the contract names no unit."""

    def amount(self, error: float) -> str:
        """The error with its unit: "0.1320" for a share, "82.29 µg/m³" for an amount."""
        return f"{error:.4f}" if self.is_share else f"{short(error)} {self.unit}".rstrip()

    def quality(self, error: float | None, *, decimals: int = 1) -> str:
        """The error in words: "86.8% right", "mean absolute error 0.417 kWh"; "… unknown" for None."""
        if error is None:
            return f"{self.name} unknown"
        return f"{1 - error:.{decimals}%} right" if self.is_share else f"{self.name} {self.amount(error)}"


class NaiveFigures(Figures):
    """The figures of the workload's naive rule, on the test rows that the rule can answer."""

    rule: str
    """The rule's `kind`, such as `seasonal_naive`."""
    rows: int
    metrics: Mapping[str, float | None]
    answer: Mapping[str, Any] | None = None
    """The fields of the rule's answer, if it answers every row with the same; else None."""


class CallTime(Figures):
    """Milliseconds of one call with `rows` rows, on the serving engine."""

    p50: float
    p99: float
    rows: int = 1


class Comparison(Figures):
    """How much better the challenger is than the champion, in the unit of the errors."""

    rows: int
    error: float
    challenger_error: float
    difference: float
    """`error` minus `challenger_error`: above 0 the challenger is better."""
    lower_bound: float
    """The one-sided lower bound of the difference.

    It comes from a bootstrap over days, or over blocks of successive rows if the rows have no order in time. With fewer
    than five days or blocks it is NaN."""
    blocks: int = 200
    """The days or blocks of the bootstrap."""


class ChampionComparison(Comparison):
    """The errors of champion and challenger on the same recent rows."""

    model_version: str
    measure: Measure = "error"
    """What the errors are the means of."""
    candidates: int = 1
    """The number of the candidate on these days, by which the gates judge it. The evaluation does not know it."""


class Evaluation(Figures, extra="allow"):
    """The report. All figures are measured on the test rows, from which the model has learnt nothing.

    What the measures of the gates found is extra, by the gate's name: `of` reads it.

    `Evaluation.model_validate_json(text)` raises pydantic's ValidationError for another shape."""

    task: str
    rows: RowCounts
    split: Span
    error: ErrorMeaning
    metrics: Mapping[str, float | None]
    """The task's figures by name, `error` always among them; None for a figure that cannot be computed."""
    intervals: Mapping[str, Estimate] = {}
    """The figures of `metrics` that can have a 95 % interval, each with it; empty in reports of former versions."""
    naive: NaiveFigures
    finite_weights: bool
    latency_ms: CallTime
    size_mb: float
    """The size of model.tar.gz in MB of 10⁶ bytes."""
    model_digest: str = ""
    """The digest of the artefact's members: only the model that was evaluated may be registered."""
    champion: ChampionComparison | None = None
    """None if no version was live."""
    reliability: tuple[ReliabilityBin, ...] = ()
    """Empty for a task whose answers have no confidence."""
    weekly_error: tuple[WindowError, ...] = ()
    """The windows of the test days, each as long as a window of the monitors."""
    walk_forward: tuple[FrozenErrors, ...] = ()
    """The errors of models of earlier days that were left alone, up to the end of the test days."""
    seed_errors: tuple[float, ...] = ()
    """The mean error on the test rows for each seed of the training, the model's own seed first.

    Empty if no gate asks for other seeds."""
    learning: LearningEvidence | None = None
    """None for a model without epochs, such as an external one."""
    age_days: float | None = None
    """Days from the end of the test days to the time as of which the model was trained."""
    entity: HiddenGroups | None = None
    """An entity whose rows train and test, so that the figures hold for known ones alone; None if none was found."""
    contenders: tuple[Contender, ...] = ()
    """The candidate first, then the models and rules that it is compared with."""
    parts: tuple[PartFigures, ...] = ()
    """The parts of the answers in their order, for a task whose answers have parts."""
    examples: tuple[ForecastExample, ...] = ()
    """For a forecast: a good one, a middling one and a bad one."""
    truth_by_answer: tuple[TruthByAnswer, ...] = ()
    """For answers that are numbers; for a forecast at its first, its middle and its last horizon."""
    cut_answers: tuple[CutAnswers, ...] = ()
    """For answers that are numbers: the contract's bounds at which more answers stand than labels do."""
    mistakes: tuple[Mistake, ...] = ()
    """For answers that are classes: the most frequent mistakes, the most frequent one first."""
    automation: AutomationEvidence | None = None
    """None if the workload's policy promises no error."""
    costs: CostEvidence | None = None
    """None if the workload's policy declares no costs."""
    explanations: ExplanationEvidence | None = None
    """None if the workload declares no explanations."""

    def of(self, kind: type[Found]) -> Found | None:
        """What the measure of a gate found, such as `report.of(SlicesEvidence)`; None if the gate was not declared."""
        found = (self.model_extra or {}).get(kind.gate)
        return None if found is None else kind.model_validate(found)

    def contender(self, who: Who) -> Contender | None:
        """The first contender of this kind; None if there is none."""
        return next((one for one in self.contenders if one.who == who), None)

    @property
    def beside(self) -> str:
        """The number of the version that the model was compared with; empty if none was live."""
        return self.champion.model_version if self.champion else ""

    def to_json(self) -> str:
        """The file's text, without the rows that are shown as examples: they are in the sample, out of which they may
        be erased."""
        return self.model_dump_json(by_alias=True, indent=1, exclude={"examples": True, "explanations": {"example"}})

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The lines of the sample with the rows that are shown as examples."""
        explained = self.explanations and self.explanations.example
        rows = [("forecast", one) for one in self.examples] + [("explanation", one) for one in (explained,) if one]
        return [{name: json.loads(one.model_dump_json())} for name, one in rows]

    def with_examples(self, sample: Sample) -> Evaluation:
        """The report with the rows that are shown as examples."""
        example = next(map(ExampleExplanation.model_validate, sample.explanations), None)
        explained = self.explanations and self.explanations.model_copy(update={"example": example})
        examples = tuple(map(ForecastExample.model_validate, sample.forecasts))
        return self.model_copy(update={"examples": examples, "explanations": explained})
