"""The part `policy` of workload.yaml: which answers act by themselves, and which a person decides."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from millrace.errors import FieldError, WorkloadError
from millrace.workload.section import Section

RETURN = 14
"""How many times the labels of a floor its version is compared on before it comes back: four weeks for two days."""
FEWEST_LABELS = 48
"""The fewest labels that a floor may ask for: below it one good hour would turn the judgement."""
Action = Literal["automated", "review", "fallback"]
"""What is done with an answer: it acts by itself, a person decides, or something else than a model answered."""


Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NEEDED: dict[str, tuple[str, ...]] = {"binary": ("false_positive", "false_negative"), "multiclass": ("wrong",)}
"""The amounts that a task with costs needs; other tasks take no costs."""


class Costs(Section):
    """What a wrong answer costs, and what a person costs who decides in its place.

    `{false_positive: 5, false_negative: 40, review: 2}` or `{wrong: 5, classes: {fire: 40}, review: 2}`. The answer is
    the one with the least expected cost. It acts if that is at most `review`."""

    review: Amount
    """What a person's decision costs. A new amount holds at once, for a version that was trained before it, too."""
    false_positive: Amount | None = None
    """For the task `binary`: the answer 1 to a row of the other class."""
    false_negative: Amount | None = None
    """For the task `binary`: the answer 0 to a row of the positive class."""
    wrong: Amount | None = None
    """For the task `multiclass`: any wrong answer that the next two do not name."""
    classes: Annotated[dict[str, Amount], Field(default_factory=dict)]
    """For the task `multiclass`: a wrong answer to a row of this class."""
    pairs: Annotated[dict[str, dict[str, Amount]], Field(default_factory=dict)]
    """For the task `multiclass`: one answer to a row of this class: `{fire: {smoke: 1}}` for fire answered as smoke."""
    currency: str = "USD"
    """The unit of all amounts."""

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what a version was trained and evaluated with: all but `review`."""
        text = json.dumps(self.model_dump(exclude={"review"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, task: str) -> None:
        """Raise FieldError if the amounts are not those of the task."""
        field, given = "policy.automate.costs", self.model_dump(exclude_defaults=True, exclude={"review", "currency"})
        if task not in NEEDED:
            raise FieldError(field=field, expected=f"the task {' or '.join(NEEDED)}", came=f"the task {task}")
        wanted, taken = NEEDED[task], {"wrong", "classes", "pairs"} if task == "multiclass" else {*NEEDED[task]}
        if not {*wanted} <= given.keys() <= taken:
            expected = f"{' and '.join(wanted)} for the task {task}"
            raise FieldError(field=field, expected=expected, came=", ".join(given) or "review alone")


class Automate(Section):
    """What an answer needs to act by itself: `{promised_error: 0.05}`, `costs`, or a `confidence` of your choice."""

    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    """An answer acts from this confidence on, whatever version gave it."""
    promised_error: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """The largest share of the acting answers that may be wrong. Each version has a confidence of its own for it.

    The evaluation finds it (`SelectiveEvidence`). The promise holds for rows like the validation rows."""

    costs: Costs | None = None
    """An answer acts if its expected cost is at most that of a person."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Automate:
        given = [name for name in ("confidence", "promised_error", "costs") if getattr(self, name) is not None]
        if len(given) != 1:
            came = ", ".join(given) or "none"
            raise FieldError(expected="confidence, promised_error or costs, one of them", came=came)
        return self


class ReviewAbove(Section):
    """Rows that a person decides, however sure the answer is: `{column: amount, bound: 10000}`."""

    column: str
    """A column of numbers that a row to score has. A row without a number in it goes to a person, too."""
    bound: Annotated[float, Field(allow_inf_nan=False)]
    """The largest number that may act by itself. Seven digits of it are compared."""


MOST_GUIDELINE, UNKNOWN = 20_000, "\N{REPLACEMENT CHARACTER}"
"""A guideline is read beside the row: some ten pages at most, and no character that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Guideline:
    """The text by which people decide; empty where none is declared."""

    text: str = ""

    @property
    def version(self) -> str:
        """The first twelve digits of the text's SHA-256, which each answer under it has; empty without a text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12] if self.text else ""


class Review(Section):
    """How long a decision waits for a person."""

    hours: Annotated[float, Field(gt=0, le=24 * 366)] = 168
    """After so many hours an item of the queue ends without an answer, and that is recorded."""
    alarm_hours: Annotated[float, Field(gt=0)] | None = None
    """An item that waits for longer raises the alarm `late-reviews`. None: half of `hours`."""
    twice: Annotated[float, Field(ge=0, le=1)] = 0
    """Of this share of the rows, drawn by their keys, a second person is asked the same, blind to the first answer.

    The first answer counts at once. Where the second is another, a third person says the label; of numbers it is then
    the median of the three."""
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Two people agree on a number if they differ by no more than this, in the label's unit. None: no third one is
    asked."""
    guideline: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] | None = None
    """A text in the workload's folder that says what each label means.

    Who decides sees it beside the row, and each answer is kept with its version."""

    @property
    def late_after_hours(self) -> float:
        return self.hours / 2 if self.alarm_hours is None else self.alarm_hours

    def read_guideline(self, folder: Path) -> Guideline:
        """The declared text in this folder. Raises WorkloadError for a file that is missing, empty, long or no text."""
        if self.guideline is None:
            return Guideline()
        path = folder / self.guideline
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        if text.strip() and UNKNOWN not in text and len(text) <= MOST_GUIDELINE:
            return Guideline(text=text)
        expected = f"a text {self.guideline} in the workload's folder, in UTF-8, of 1 to {MOST_GUIDELINE:,} characters"
        came = f"{len(text):,}, of which {text.count(UNKNOWN)} are not UTF-8" if path.is_file() else "no such file"
        where = f"{folder.name}/workload.yaml"
        raise WorkloadError(where=where, field="policy.review.guideline", expected=expected, came=came)

    @model_validator(mode="after")
    def _is_told_before_the_end(self) -> Review:
        if self.late_after_hours >= self.hours:
            raise FieldError(field="alarm_hours", expected=f"less than hours, {self.hours:g}", came=self.alarm_hours)
        return self


class Floor(Section):
    """When the naive rule answers in place of a version that does worse on recent labels: `{labels: 336}`."""

    labels: Annotated[int, Field(ge=FEWEST_LABELS)]
    """The rule takes over by the newest days with so many labels; fewer change nothing."""
    return_labels: Annotated[int, Field(ge=FEWEST_LABELS)] | None = None
    """The version comes back only if it is better on the newest days with so many labels too. None: 14 × `labels`."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """The rule takes over once it is better by more than this, and the version again once it is better by more.

    It is a difference of two shares of wrong answers; for amounts and the log loss, a share of the rule's figure."""

    @property
    def labels_to_return(self) -> int:
        return RETURN * self.labels if self.return_labels is None else max(self.return_labels, self.labels)


class Policy(Section):
    """What an answer leads to. Without this section every answer of a model acts."""

    automate: Automate | None = None
    """None: the confidence of an answer does not matter."""
    review_above: ReviewAbove | None = None
    unlike_training: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """A row goes to a person if fewer than this share of the validation rows are as far from the training rows.

    So this share of the rows that are like them goes there, too. The distance is measured in the network's last
    layer."""
    held_out: Annotated[float, Field(ge=0, le=0.5)] = 0
    """The share of the rows that no model influences: a person decides, and is not told the model's answer.

    The labels of these rows say how good the model is, since its answers have changed nothing about them."""
    labels_a_day: Annotated[int, Field(ge=1, le=1000)] | None = None
    """For so many rows of each day the monitor asks people for the label, where it tells most about the error.

    None: it asks for none, and judges by the labels that come."""
    label_errors_a_day: Annotated[int, Field(ge=1, le=1000)] | None = None
    """For so many labels of each day that most contradict the model the monitor asks people whether they are right.

    None: it asks about none."""
    labels_before_model: Annotated[int, Field(ge=1, le=1000)] | None = None
    """While no version is live, so many rows without a label wait for a person at a time, drawn by chance.

    `training.first_rows` then counts the labels that came behind their rows, people's among them. None: nobody is
    asked."""
    review: Review = Review()
    shadowed: bool = False
    """Whether what a person would decide but for the held-out share acts all the same, with the reason `would_wait`."""
    floor: Floor | None = None
    """None: a live version answers however bad it is. Needs `rule` in `prediction.fallback`."""

    @property
    def promised_error(self) -> float | None:
        return self.automate.promised_error if self.automate else None

    @property
    def costs(self) -> Costs | None:
        return self.automate.costs if self.automate else None

    @model_validator(mode="after")
    def _says_something(self) -> Policy:
        names = ("automate", "review_above", "unlike_training", "held_out", "labels_a_day", "label_errors_a_day")
        if not any(getattr(self, name) for name in (*names, "labels_before_model", "floor")):
            expected = f"{', '.join(names)}, labels_before_model or floor"
            raise FieldError(expected=expected, came="none of them")
        return self
