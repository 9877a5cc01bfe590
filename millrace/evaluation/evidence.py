"""The parts of evaluation.json that declared gates judge: figures with their 95 % intervals, a class for each gate.

A part that no gate asks for is not measured. Errors are the task's own: a share of answers, or an amount of the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from millrace.features.parts import PartKind

Who = Literal["candidate", "champion", "naive", "simple"]
Measure = Literal["error", "log_loss"]
"""By what models are compared: the task's error, or the log loss of answers that are probabilities of classes."""


FEWEST_BLOCKS = 5
"""Of days, entities or successive rows: with fewer an interval says nothing. Its ends are NaN, which passes no gate."""


class Figures(BaseModel):
    """NaN and infinity are written as they are: a gate refuses them. Keys that a reader does not know are ignored."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True, ser_json_inf_nan="constants")


class Estimate(Figures):
    """A figure and its two-sided 95 % interval, by a bootstrap over blocks; NaN where there are too few blocks."""

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
    """For a page: "version 3", "seasonal naive", "boosted trees"."""
    rows: int
    scores: Mapping[str, Estimate]
    """`error`, and `log_loss` where answers are probabilities of classes."""
    improvements: Mapping[str, Estimate] = {}
    """By score: the contender's minus the candidate's on the same rows; above 0 the candidate is better."""


class PartFigures(Figures):
    """One part of the answers: one horizon of a forecast, one of several labels."""

    name: str
    """For a page: "24 h"."""
    figures: Mapping[str, float | None]
    """As the task names them, `error` among them."""
    naive: Mapping[str, float | None]
    """The naive rule's, on the rows that it can answer."""


class Mistake(Figures):
    """Test rows of one class that were answered as another one."""

    truth: str
    answered: str
    rows: int
    of: int
    """All test rows of the class."""


class ForecastExample(Figures):
    """One test row's forecast beside what was known then and what came; each a value for each of `hours`."""

    at: str
    """Event time of the row, ISO 8601."""
    entity: str
    """Whose row it is; empty where all rows are of one."""
    past_hours: tuple[float, ...]
    """Hours from the row, 0 or below, of what was known."""
    past: tuple[float, ...]
    hours: tuple[float, ...]
    value: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    truth: tuple[float, ...]


class AnswerBin(Figures):
    """Test rows with much the same answer; each figure is of the bin's rows, in the label's unit."""

    rows: int
    value: float
    """The median of the answers."""
    lower: float | None = None
    """The median of the answered lower ends; None where an answer has no interval."""
    upper: float | None = None
    truth_low: float
    """The lower of the quantiles of what came."""
    truth: float
    """Its median."""
    truth_high: float


class TruthByAnswer(Figures):
    """What came by what was answered, for a number or one horizon of a forecast."""

    name: str
    """Of the horizon, "24 h"; empty where the answer has no parts."""
    quantiles: tuple[float, float]
    """Those of the answered interval, where there is one: then what came has the same spread as it, if it is right."""
    bins: tuple[AnswerBin, ...]
    """By rising answers."""


class SliceFigures(Figures):
    """The rows of the test part with one value in one column."""

    column: str
    value: str
    rows: int
    error: Estimate | None = None
    """None where the rows are fewer than the gate's minimum."""


class SlicesEvidence(Figures):
    slices: tuple[SliceFigures, ...]


class GroupFigures(Figures):
    """One group of people, or of whatever the column divides; shares are None for a task without a positive class."""

    column: str
    value: str
    rows: int
    error: float
    selection_rate: float | None = None
    """Share of the answers that are the positive class."""
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None


class Disparity(Figures):
    """How far the groups of one column are apart."""

    column: str
    measure: str
    """One of the measures of the gate `fairness`, without `max_` or `min_`."""
    figure: Estimate
    lowest: str
    """The group with the lowest figure."""
    highest: str


class FairnessEvidence(Figures):
    groups: tuple[GroupFigures, ...]
    disparities: tuple[Disparity, ...]


class ValueEvidence(Figures):
    """What the decisions are worth in a period, in the owner's unit."""

    today: str
    """What decides today: the champion, or the naive rule before there is one."""
    value: Estimate
    """The candidate's."""
    gain: Estimate
    """The candidate's value minus today's, on the same rows."""


class SelectiveEvidence(Figures):
    """Answers whose confidence reaches a threshold, which the validation rows gave."""

    threshold: float | None
    """None where no threshold keeps the promise on the validation rows."""
    calibration_rows: int
    coverage: Estimate
    """Share of the test rows whose answer is used."""
    error: Estimate
    """Of these."""


class PerturbedFigures(Figures):
    """The test rows with one kind of damage."""

    damage: str
    """For a page: "noise of 0.1 standard deviations"."""
    error: Estimate
    rise: Estimate
    """Error minus the error of the undamaged rows."""


class RobustnessEvidence(Figures):
    damaged: tuple[PerturbedFigures, ...]


class MemorisationEvidence(Figures):
    rows: int
    """Training rows that were answered, spread evenly."""
    train_error: float
    gap: Estimate
    """Test error minus train error."""


class FeatureLeak(Figures):
    column: str
    explained: float
    """Share of the error of the best constant answer that a rule of this column alone removes; 1 where it is right
    always."""


class LeakageEvidence(Figures):
    features: tuple[FeatureLeak, ...]
    """The most telling first."""
    duplicates: float
    """Share of the test rows that a training row equals, or nearly equals, in every feature."""


class PlausibilityEvidence(Figures):
    """Mistakes that a figure of quality only hints at."""

    constant_share: float
    """Share of the test rows with the most frequent answer (numbers are compared to six digits)."""
    exchanged: tuple[str, ...] = ()
    """Of classes: "a answered as b" for each one that is mostly answered as another; empty without."""
    exchange_gain: float = 0.0
    """How much lower the error would be if the exchanged names were put right; a share of answers."""
    scale: float | None = None
    """Of numbers: the factor on the answers that fits the labels best (least absolute error); 1 is none."""


class ColumnImportance(Figures):
    """One column of the contract, over rows that are spread over the test days."""

    column: str
    mean: float
    """Of the absolute contributions: log odds of a class, or an amount of the label."""
    rise: Estimate | None = None
    """Of the error, where the column's cells are those of other rows."""


class PlaceImportance(Figures):
    """An hour of a history, a patch of an image, a word, a part of a calendar."""

    column: str
    place: str
    mean: float


class ExampleContribution(Figures):
    """What one part of the example's row added to its answer."""

    column: str
    place: str
    value: str
    """"protected" for a column that the contract protects."""
    contribution: float
    kind: PartKind = "cell"
    box: tuple[int, int, int, int] | None = None
    """Of a patch: left, top, width and height in pixels."""


class ExampleExplanation(Figures):
    """One test row, taken apart by integrated gradients."""

    explains: str
    """What the contributions add up to, for a page: "log odds of fan", "value", "value, 24 h"."""
    output: float
    answer: str
    """In words: "fan with confidence 0.87"; of a forecast that of the horizon that is explained."""
    contributions: tuple[ExampleContribution, ...]
    """In the order of the row."""
    image: str = ""
    """PNG in base64; empty without an image, and for one that the contract protects."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image in pixels."""


class ExplanationEvidence(Figures):
    """What moves the model's answers, and how good explanations of them are."""

    method: str
    """`integrated gradients`, or `shapley` for a network that does not say where its tensors enter."""
    rows: int
    completeness_error: float
    """Of integrated gradients: how far a sum is from the score less the reference's, the largest of the rows, as a
    share of the largest such difference."""
    columns: tuple[ColumnImportance, ...]
    places: tuple[PlaceImportance, ...] = ()
    endpoint_difference: float
    """How far the endpoint's Shapley values are from integrated gradients: the mean over rows of half the sum of the
    differences, each row's contributions as shares of their absolute sum. 0: the same, 1: nothing in common."""
    endpoint_standard_error: float
    """Of the value that is known worst; 0 where no orders were drawn."""
    endpoint_ms: float
    """Median time of one row's explanation."""
    example: ExampleExplanation | None = None
