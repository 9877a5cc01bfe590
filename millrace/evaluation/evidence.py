"""The parts of evaluation.json that gates and pages read: figures with their 95 % intervals.

Each gate that needs evidence has a class here, such as `SlicesEvidence`. The evidence of a gate is measured only if the
gate is declared. An error is the task's own: a share of answers, 0 to 1, or an amount in the label's unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from millrace.features.parts import Part

Who = Literal["candidate", "champion", "naive", "simple", "beside"]
"""Who answers. `beside` is for comparison alone: a part of the candidate, or the linear model."""
Measure = Literal["error", "log_loss"]
"""What models are compared by: the task's error, or the log loss of answers that are probabilities of classes."""


FEWEST_BLOCKS = 5
"""The fewest blocks of rows (days, entities or successive rows) for which an interval says anything.

With fewer blocks the ends of an interval are NaN, which passes no gate."""


class Figures(BaseModel):
    """A part of evaluation.json.

    JSON holds NaN and infinity as they are, and gates refuse them. A reader ignores keys that it does not know."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True, ser_json_inf_nan="constants")


class GateEvidence(Figures):
    """What the measure of a gate found: the part of the report that has the gate's name."""

    gate: ClassVar[str]


class Estimate(Figures):
    """A figure and its two-sided 95 % interval, by a bootstrap over blocks; the ends are NaN with too few blocks."""

    value: float
    low: float
    high: float

    def words(self, form: str = ".4f") -> str:
        """The figure with its interval: "0.1300 (0.1200 to 0.1400)"."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


class Contender(Figures):
    """One model or rule on the test rows that it can answer."""

    who: Who
    name: str
    """The name for a page: "version 3", "seasonal naive", "boosted trees"."""
    rows: int
    scores: Mapping[str, Estimate]
    """`error`; also `log_loss` if the answers are probabilities of classes."""
    improvements: Mapping[str, Estimate] = {}
    """The contender's score minus the candidate's on the same rows, by the name of the score.

    Above 0 the candidate is better. Empty for the candidate itself."""


class PartFigures(Figures):
    """The figures of one part of the answers: of one horizon of a forecast, or of one of several labels."""

    name: str
    """The name for a page: "24 h"."""
    figures: Mapping[str, float | None]
    """The model's figures as the task names them; `error` is always among them."""
    naive: Mapping[str, float | None]
    """The naive rule's figures, on the rows that the rule can answer."""


class Mistake(Figures):
    """Test rows of the class `truth` that were answered as the class `answered`."""

    truth: str
    answered: str
    rows: int
    of: int
    """The number of all test rows of the class `truth`."""


class ForecastExample(Figures):
    """One test row's forecast, beside the label's values up to the row and the values that came.

    `value`, `lower`, `upper` and `truth` have one number for each of `hours`, in the label's unit."""

    key: Mapping[str, Any] = {}
    """The cells of the row's key."""
    at: str
    """Event time of the row, ISO 8601."""
    entity: str
    """The cells of the row's key without its event time, joined by commas; empty if all rows belong to one entity."""
    past_hours: tuple[float, ...]
    """Hours from the row to each value of `past`, 0 or below."""
    past: tuple[float, ...]
    """The label's known values of the same entity at `past_hours`."""
    hours: tuple[float, ...]
    """The horizons of the forecast: hours from the row, above 0."""
    value: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    truth: tuple[float, ...]
    """The labels that came."""


class AnswerBin(Figures):
    """Test rows with similar answers; each figure is taken over the bin's rows, in the label's unit."""

    rows: int
    value: float
    """The median of the answers."""
    lower: float | None = None
    """The median of the answered lower ends; None if the answers have no interval."""
    upper: float | None = None
    """The median of the answered upper ends; None if the answers have no interval."""
    truth_low: float
    """The lower one of `TruthByAnswer.quantiles` of the labels."""
    truth: float
    """The median of the labels."""
    truth_high: float
    """The upper one of `TruthByAnswer.quantiles` of the labels."""


class TruthByAnswer(Figures):
    """The labels that came, by the answers that were given; for a number, or for one horizon of a forecast."""

    name: str
    """The name of the horizon, "24 h"; empty if the answer has no parts."""
    quantiles: tuple[float, float]
    """Which quantiles of the labels `truth_low` and `truth_high` are.

    If the answers have an interval, these are its declared quantiles. A right interval then spreads like the labels."""
    bins: tuple[AnswerBin, ...]
    """The bins in the order of rising answers."""


class CutAnswers(Figures):
    """Test rows whose answer stands at a bound of the contract: the model itself would answer beyond it."""

    bound: float
    """In the label's unit."""
    is_lower: bool
    share: float
    """Their share of the answers, 0 to 1."""
    label_share: float
    """The share of the labels that are at the bound indeed."""


class SelectiveEvidence(GateEvidence):
    """The answers that are used alone: those whose confidence reaches a threshold found on the validation rows."""

    gate = "selective"

    threshold: float | None
    """The least confidence of a used answer, 0 to 1; None if no threshold keeps the promised error."""
    calibration_rows: int
    """The number of validation rows that the threshold was found on."""
    coverage: Estimate
    """Share of the test rows whose answer is used."""
    error: Estimate
    """Share of the used answers that are wrong."""


class AutomationEvidence(SelectiveEvidence):
    """The answers that the workload's policy lets act by themselves."""

    promised_error: float
    """The largest share of them that may be wrong."""


class CostFigures(Figures):
    """What 1,000 rows cost, in the policy's currency."""

    expected: float
    """By the model's own probabilities."""
    measured: Estimate
    """By the labels of the test rows."""


class CostEvidence(Figures):
    """What the answers cost by the policy, and what they would cost if all acted, or if a person decided each."""

    digest: str
    """The SHA-256 of the amounts, `Costs.digest`."""
    currency: str
    review: float
    """What a person's decision costs."""
    coverage: Estimate
    """Share of the test rows whose answer acts."""
    by_policy: CostFigures
    all_automated: CostFigures
    all_reviewed: float
    """What 1,000 rows cost if a person decides each."""


class LearningEvidence(Figures):
    """How the validation loss fell over the epochs of the training."""

    epochs: int
    best_epoch: int
    """The epoch whose model was kept, counted from 0."""
    fall: float
    """How far the loss fell from the first epoch to the best one."""
    late_fall: float
    """The part of `fall` that came in the last quarter of the epochs."""


class HiddenGroups(Figures):
    """What a split by single rows hides: a probe's loss on random rows, and on rows of groups that it never saw."""

    columns: tuple[str, ...]
    """The columns that name the entity; empty for neighbouring rows."""
    pieces: int = 0
    """How many first pieces of the column's text name it; 0 for whole cells."""
    groups: int
    random: float
    """A log loss, or the squared error as a share of the label's variance."""
    apart: float
    deviations: float
    """The rise of the loss in its standard errors."""
    is_class: bool

    @property
    def named(self) -> str:
        """What rows are about, in words."""
        name = " and ".join(self.columns)
        return f"beginning of {name} (pieces: {self.pieces})" if self.pieces else name

    @property
    def said(self) -> str:
        """Both figures in words."""
        what = "log loss" if self.is_class else "squared error, as a share of the label's variance,"
        unseen = f"a {self.named} of which no row was seen" if self.columns else "rows away from those that were seen"
        return f"boosted trees have the {what} {self.random:.3g} on random rows and {self.apart:.3g} on {unseen}"


class ColumnImportance(Figures):
    """How much one column of the contract moves the answers, over rows that are spread over the test days."""

    column: str
    mean: float
    """The mean of its absolute contributions: in log odds for classes, in the label's unit for numbers."""
    rise: Estimate | None = None
    """How much the error rises if the column's cells are exchanged for the cells of other rows."""


class PlaceImportance(Figures):
    """How much one place in a column's cells moves the answers.

    A place is an hour of a history, a patch of an image, a word, or a part of a calendar."""

    column: str
    place: str
    mean: float
    """The mean of its absolute contributions, in the unit of `ColumnImportance.mean`."""


@dataclass(frozen=True, kw_only=True)
class ExampleContribution(Part):
    """What one part of the example's row added to its answer.

    The cell is "protected" in a column that the contract protects."""

    contribution: float


class ExampleExplanation(Figures):
    """One test row whose answer is taken apart."""

    key: Mapping[str, Any] = {}
    """The cells of the row's key."""
    explains: str
    """What the contributions add up to, for a page: "log odds of fan", "value", "value, 24 h"."""
    output: float
    """The explained score of this row, in the unit that `explains` names."""
    answer: str
    """The answer in words: "fan with confidence 0.87"; for a forecast the answer at the explained horizon alone."""
    contributions: tuple[ExampleContribution, ...]
    """The contributions in the order of the row's parts."""
    image: str = ""
    """The row's image as PNG in base64; empty without an image, and if the contract protects it."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image in pixels; (0, 0) without an image."""


class ExplanationEvidence(Figures):
    """What moves the model's answers, and how exact the explanations of its answers are."""

    rows: int
    """The number of test rows that were explained."""
    columns: tuple[ColumnImportance, ...]
    places: tuple[PlaceImportance, ...] = ()
    standard_error: float
    """The largest standard error of a contribution, in the unit of `ColumnImportance.mean`; 0 if all are exact."""
    example: ExampleExplanation | None = None
