"""A workload as its team declares it in `workloads/<name>/workload.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from millrace.errors import WorkloadError
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.gates.gate import Positive
from millrace.models.catalogue import FAMILIES
from millrace.tasks.catalogue import TASKS
from millrace.workload.prices import is_known
from millrace.workload.rollout import Rollout
from millrace.workload.section import Section
from millrace.workload.training import Training
from millrace.workload.tuning import Tuning, tuning_usd


def _known_task(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"expected one of {', '.join(TASKS)}, got {name!r}")
    return name


class Fallback(Section):
    """What is answered while no model answers: a constant, or an answer whose fields are all empty.

    Which of the two fields a workload may declare depends on its task."""

    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the positive class, for the task `binary`; of every label, for `multilabel`."""
    value: StrictStr | StrictInt | StrictFloat | None = None
    """The answer itself: a class for `multiclass`, a number for `regression`, `interval` and `forecast`."""


FeatureForm = Literal["history", "calendar"]
"""The keys of a feature that is more than a column; an encoder is the default for each, as for a kind of column."""


class Feature(Section):
    """One input of the model: a column of the same name, the past of several columns of the same key, or a calendar.

    Example: `price` in workload.yaml is a column; `{name: load, history: [demand], hours: 24}` is a history;
    `{name: when, calendar: timestamp}` is the hour, the weekday and the month of a column of times;
    `{name: street, encoder: category}` names the encoder of its column."""

    name: str
    encoder: str | None = None
    """One of `millrace.features.catalogue`; None for the default of the column's kind."""
    history: tuple[str, ...] = ()
    """The columns whose past is read; empty for a plain column."""
    hours: Positive | None = None
    """How far back a history reaches."""
    every_hours: Positive = 1
    """The distance of a history's steps."""
    calendar: str = ""
    """The column of times whose calendar is read."""
    parts: tuple[Literal["hour", "weekday", "month"], ...] = ()
    """Of a calendar; all of them where none is named."""
    entity: tuple[str, ...] = ()
    """The prediction's key without its event time, and `event_time`: set by the prediction, not in workload.yaml."""
    event_time: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_column_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _history_has_a_length(self) -> Feature:
        if bool(self.history) != (self.hours is not None):
            raise ValueError("history and hours together, or neither of them")
        return self

    @model_validator(mode="after")
    def _calendar_stands_alone(self) -> Feature:
        if (self.calendar and (self.history or self.encoder)) or (self.parts and not self.calendar):
            raise ValueError("calendar without history and encoder, and parts of a calendar only")
        return self

    @property
    def form(self) -> FeatureForm | None:
        """Which key makes it more than a column; None for a plain one."""
        return next((key for key in get_args(FeatureForm) if getattr(self, key)), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that it reads."""
        return self.history or (self.calendar or self.name,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a row carries to the model for it; as `Encoder.inputs`."""
        return (self.name, self.event_time, *self.history) if self.history else self.columns


SET_BY_PREDICTION = ("entity", "event_time")
"""The fields of a feature that are no keys of workload.yaml."""


class Prediction(Section):
    task: Annotated[str, AfterValidator(_known_task)]
    label: str
    """In workload.yaml its name, or `{column, horizon_hours}` for its value that many hours later; for the task
    `forecast` a list of hours, for `multilabel` a list of names, of which this is all, with commas in between."""
    horizon_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """How far ahead of a row its label lies, the farthest of several: that of the row of the same entity at exactly
    that time.

    0 for a label of the row itself. Above 0 the label's own value in a row is known, and may be a feature."""
    horizons_hours: tuple[Positive, ...] = ()
    """All of them, rising; empty where `horizon_hours` is the only one."""
    labels: tuple[str, ...] = ()
    """The names of several labels; empty where `label` is the only one."""
    positive: StrictStr | StrictBool | StrictInt = 1
    """For the task `binary`: the label's value that a model's answer 1 stands for."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """For the task `binary`: the probability of the positive class from which on the answer is 1. Where that class is
    rare or dear to miss, less than one half finds more of it, at the price of more false alarms."""
    huber: Annotated[float, Field(gt=0, le=100)] = 1.0
    """For the task `regression`: errors above this many deviations of the label count in proportion, smaller ones by
    their square. Large values answer the mean, which makes the squared error small; small ones the median, which makes
    the absolute one small."""
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """For the tasks `interval` and `forecast`: of the answer's lower and upper end, such as [0.05, 0.95]."""
    thresholds: Annotated[dict[str, Annotated[float, Field(gt=0, lt=1)]], Field(default_factory=dict)]
    """For the task `multilabel`: by label the probability from which on the answer is yes; 0.5 where none is given."""
    key: tuple[str, ...]
    """The columns that identify an entity at a moment; labels join by them when no prediction id came."""
    event_time: str
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    fallback: Fallback = Fallback()

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The contract's columns that hold the label."""
        return self.labels or (self.label,)

    @property
    def horizons(self) -> tuple[float, ...]:
        """How many hours ahead of a row its labels lie, rising; one of them mostly."""
        return self.horizons_hours or (self.horizon_hours,)

    @property
    def label_tables(self) -> tuple[str, ...]:
        """The tables that labels come from: where a label lies ahead, a row is the label of an earlier one."""
        return ("labels", "rows") if self.horizon_hours else ("labels",)

    @model_validator(mode="before")
    @classmethod
    def _label_at_a_horizon(cls, values: Any) -> Any:
        label = values.get("label") if isinstance(values, dict) else None
        if isinstance(label, list):
            if len({*map(str, label)}) != len(label) or len(label) < 2 or "labels" in values:
                raise ValueError(f"label: expected the names of two columns or more, each once, got {label!r}")
            return values | {"label": ", ".join(map(str, label)), "labels": label}
        if not isinstance(label, dict):
            return values
        if set(label) != {"column", "horizon_hours"} or "horizon_hours" in values:
            raise ValueError(f"label: expected a column's name, or column and horizon_hours, got {label!r}")
        ahead = label["horizon_hours"]
        if not isinstance(ahead, list):
            return values | {"label": label["column"], "horizon_hours": ahead}
        if not ahead or not all(isinstance(one, int | float) for one in ahead) or ahead != sorted({*ahead}):
            raise ValueError(f"label.horizon_hours: expected hours that rise, got {ahead!r}")
        return values | {"label": label["column"], "horizon_hours": ahead[-1], "horizons_hours": ahead}

    @model_validator(mode="after")
    def _histories_know_the_key(self) -> Prediction:
        # Both fields are empty in workload.yaml, or what this has set before (a declaration that was written and is
        # read again); anything else was set by hand.
        entity = tuple(name for name in self.key if name != self.event_time)
        if any(
            (feature.entity or entity, feature.event_time or self.event_time) != (entity, self.event_time)
            for feature in self.features
        ):
            keys = ", ".join(key for key in Feature.model_fields if key not in SET_BY_PREDICTION)
            raise ValueError(f"features: expected the keys {keys} only")
        looks_around = self.horizon_hours > 0 or any(feature.history for feature in self.features)
        if looks_around and self.event_time not in self.key:
            # Without its time in the key an entity has one row: no earlier one, no later one.
            expected = f"{self.event_time} in it for a history or a label ahead"
            raise ValueError(f"key: expected {expected}, got {list(self.key)}")
        # `__setattr__` of object, since the model is frozen for everybody else.
        known = {"entity": entity, "event_time": self.event_time}
        object.__setattr__(
            self,
            "features",
            tuple(feature.model_copy(update=known if feature.history else {}) for feature in self.features),
        )
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a row carries to the model, each once, in declared order: columns, and the past of histories."""
        return tuple(dict.fromkeys(name for feature in self.features for name in feature.inputs))

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The contract's columns that the features read, each once, in declared order."""
        return tuple(dict.fromkeys(column for feature in self.features for column in feature.columns))

    @property
    def tensor_columns(self) -> tuple[str, ...]:
        """The contract's columns whose cells models read, the label among them."""
        return (*self.feature_columns, *self.label_columns)


class Monitors(Section):
    window_days: Annotated[int, Field(ge=1)]
    schedule: str
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)]
    error_windows: Annotated[int, Field(ge=1)]
    """The error alarm needs this many windows in a row above the bound."""
    label_delay_hours: Positive | None = None
    """After this time from its event on a decision without a label is late; None where labels come whenever."""


class Retraining(Section):
    schedule: str
    cool_down_days: Annotated[int, Field(ge=0)]
    minimum_new_labels: Annotated[int, Field(ge=0)]
    maximum_runs_per_month: Annotated[int, Field(ge=1)]


class Budget(Section):
    monthly_usd: Positive


class Explanations(Section):
    """How a model is explained: on test rows in its report, and row by row at the endpoint on request."""

    rows: Annotated[int, Field(ge=0, le=4096)] = 32
    """Test rows, spread evenly, whose answers training takes apart; 0 for no explanations, at the endpoint neither."""
    nodes: Annotated[int, Field(ge=4, le=512)] = 24
    """Of the integral from the reference to a row: more make the completeness error smaller, and take longer."""


Sentence = Annotated[str, Field(min_length=1, max_length=900, pattern=r"\S")]


class Card(Section):
    """What only people can say of a model; the model card of each version holds it beside what the run measured."""

    intended_use: Sentence
    """Who uses the answers, and for which decision."""
    out_of_scope: Sentence
    """What the answers are no reason for."""
    limitations: Sentence
    """What makes the answers worse."""
    risk: Literal["low", "medium", "high"]
    """Of a wrong answer."""
    risk_reason: Sentence


class Workload(Section):
    """The whole declaration; every default is written beside its field."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,23}$")]
    owner: str
    """Who answers for the workload: named by model card and bill of materials, and by `millrace validate`."""
    prediction: Prediction
    training: Training
    gates: Gates
    rollout: Rollout
    monitors: Monitors
    retraining: Retraining
    budget: Budget
    explanations: Explanations = Explanations()
    card: Card | None = None
    """Every version needs it in the stages that people depend on; `local` does without."""
    tuning: Tuning | None = None
    """The search for hyperparameters that `millrace tune` starts."""

    @model_validator(mode="after")
    def _tuning_can_be_paid(self) -> Workload:
        if (tuning := self.tuning) is None:
            return self
        training = self.training
        for parameters in tuning.candidates(FAMILIES[training.family], training.parameters):
            training.with_parameters(parameters)
        for stage, instance in training.instance.items():
            if not is_known(instance):
                continue
            minutes = training.max_runtime_minutes
            usd = tuning_usd(tuning, instance=instance, instances=training.instances, max_minutes=minutes)
            if usd > tuning.budget_usd:
                cost = f"{tuning.max_jobs} trainings of {minutes} minutes on {training.instances} {instance}"
                expected = f"budget_usd of {usd:.2f} at least, the cost of {cost} in the stage {stage}"
                raise ValueError(f"tuning: expected {expected}, got {tuning.budget_usd:g}")
        return self


def check_card(workload: Workload, stage: str) -> None:
    """Raise WorkloadError where a version of this stage could have no model card: without one, or without an owner."""
    where, needed = f"{workload.name}/workload.yaml", f"for the model cards of {stage}"
    if stage != "local" and workload.card is None:
        fields = ", ".join(Card.model_fields)
        raise WorkloadError(where=where, field="card", expected=f"{fields}, {needed}", came="nothing")
    if stage != "local" and not workload.owner.strip():
        raise WorkloadError(where=where, field="owner", expected=f"a name, {needed}", came="nothing")
