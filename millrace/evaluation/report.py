"""The evaluation's report, `evaluation.json`: written by the job, read by the gates, the console and the tracking."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from millrace.evaluation.evidence import (
    Contender,
    Estimate,
    ExplanationEvidence,
    FairnessEvidence,
    Figures,
    ForecastExample,
    LeakageEvidence,
    Measure,
    MemorisationEvidence,
    Mistake,
    PartFigures,
    PlausibilityEvidence,
    RobustnessEvidence,
    SelectiveEvidence,
    SlicesEvidence,
    TruthByAnswer,
    ValueEvidence,
    Who,
)
from millrace.tasks.figures import short
from millrace.tasks.metrics import ReliabilityBin

EVALUATION_FILE = "evaluation.json"


def why_outdated(beside: str, live: str) -> str:
    """What is wrong where a model was evaluated beside another version than the live one; empty where nothing is.

    Both are numbers of versions, empty for none."""
    if beside == live:
        return ""
    came, now = (f"version {one}" if one else "no version" for one in (beside, live))
    again = "a new run compares with it: millrace train, or millrace register again"
    return f"evaluated beside {came}, but {now} is live now; {again}"


class RowCounts(Figures):
    test: int


class Span(Figures):
    """Event time, ISO 8601, half open."""

    from_: str = Field(alias="from")
    to: str


class ErrorMeaning(Figures):
    """The meaning of `error` in the whole report; the smaller, the better."""

    name: str
    """For a page: "share of wrong answers", "mean absolute error"."""
    is_share: bool
    """A share of answers, 0 to 1: a margin is then a difference of two errors. Else the error is an amount in the
    label's unit, and a margin is a share of the error that is to be beaten."""

    unit: str = ""
    """Of an amount, where the contract names it: µg/m³."""

    def amount(self, error: float) -> str:
        """The bare error: "0.132", "82.29 µg/m³"."""
        return f"{error:.4f}" if self.is_share else f"{short(error)} {self.unit}".rstrip()

    def quality(self, error: float | None, *, decimals: int = 1) -> str:
        """The error in words: "86.8% right", "mean absolute error 0.417 kWh"."""
        if error is None:
            return f"{self.name} unknown"
        return f"{1 - error:.{decimals}%} right" if self.is_share else f"{self.name} {self.amount(error)}"


class NaiveFigures(Figures):
    """What the workload's naive rule reaches on the test rows that it can answer."""

    rule: str
    rows: int
    metrics: Mapping[str, float | None]


class CallTime(Figures):
    """Milliseconds of one call with `rows` rows, on the serving engine."""

    p50: float
    p99: float
    rows: int = 1


class ChampionComparison(Figures):
    """The champion and the challenger on the same recent rows."""

    model_version: str
    measure: Measure = "error"
    rows: int
    error: float
    """The champion's mean `measure`."""
    challenger_error: float
    difference: float
    """The champion's minus the challenger's: above 0 the challenger is better."""
    lower_bound: float
    """One-sided bound of the difference, by a bootstrap over days, over successive rows where they have no time; NaN
    with fewer than five of either."""


class WindowError(Figures):
    """The mean error of the answers in one window of event time."""

    from_: str = Field(alias="from")
    to: str
    """ISO time, exclusive."""
    rows: int
    error: float


class FrozenErrors(Figures):
    """How the error of a model that was not retrained moved in the windows after its training."""

    trained_until: str
    weeks: tuple[WindowError, ...]


class Evaluation(Figures):
    """All figures are of the test days, which nothing of the model has seen.

    `Evaluation.model_validate_json(text)` raises pydantic's ValidationError on another shape."""

    task: str
    rows: RowCounts
    split: Span
    error: ErrorMeaning
    metrics: Mapping[str, float | None]
    """The figures that the task names, `error` always among them; None where one cannot be computed."""
    intervals: Mapping[str, Estimate] = {}
    """Of those that can have one, with the 95 % interval; empty in a report of before there were any."""
    naive: NaiveFigures
    finite_weights: bool
    latency_ms: CallTime
    size_mb: float
    """Of model.tar.gz."""
    model_digest: str = ""
    """Of the artefact's members: what was evaluated is what may be registered."""
    champion: ChampionComparison | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    """Empty for a task whose answers have no confidence."""
    weekly_error: tuple[WindowError, ...] = ()
    """The test days' windows."""
    walk_forward: tuple[FrozenErrors, ...] = ()
    """How models of earlier days, left alone, fared up to the end of the test days."""
    seed_errors: tuple[float, ...] = ()
    """Mean errors on the test rows by the seed of the training, its own first; empty where no gate asks for others."""
    age_days: float | None = None
    """From the end of the test days to the time as of which the model was trained."""
    contenders: tuple[Contender, ...] = ()
    """The candidate first, then what it is held against, each with its interval."""
    parts: tuple[PartFigures, ...] = ()
    """Of an answer that has parts, in their order."""
    examples: tuple[ForecastExample, ...] = ()
    """Of a forecast: a good one, a middling one and a bad one."""
    truth_by_answer: tuple[TruthByAnswer, ...] = ()
    """Of answers that are numbers; of a forecast at its first, its middle and its last horizon."""
    mistakes: tuple[Mistake, ...] = ()
    """Of answers that are classes, the most frequent first."""
    slices: SlicesEvidence | None = None
    """This and the following: measured where the gate of the same name is declared."""
    fairness: FairnessEvidence | None = None
    value: ValueEvidence | None = None
    selective: SelectiveEvidence | None = None
    robustness: RobustnessEvidence | None = None
    memorisation: MemorisationEvidence | None = None
    leakage: LeakageEvidence | None = None
    plausibility: PlausibilityEvidence | None = None
    explanations: ExplanationEvidence | None = None
    """None where the workload declares none."""

    def contender(self, who: Who) -> Contender | None:
        """The first one of this kind."""
        return next((one for one in self.contenders if one.who == who), None)

    @property
    def beside(self) -> str:
        """Number of the live version that it was compared with; empty where none was live."""
        return self.champion.model_version if self.champion else ""

    def to_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(by_alias=True, indent=1)
