"""A workload as its team declares it in `workloads/<name>/workload.yaml`: one class for each part of the file.

`Workload` is the whole file. A key without a default must be there, and an unknown key is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from millrace.consumers.catalogue import Consumers
from millrace.errors import FieldError, WorkloadError
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.gates.gate import Positive
from millrace.models.catalogue import FAMILIES
from millrace.spelling import one_of
from millrace.tasks.answer import MOMENT
from millrace.tasks.catalogue import TASKS
from millrace.tasks.task import AnswerField
from millrace.workload.ends import BusinessFigure, EndJobs, KnownKeys, Queries, RowSource, Sources, Stream
from millrace.workload.places import within
from millrace.workload.policy import Policy
from millrace.workload.predicted_label import PredictedLabel
from millrace.workload.prices import PRICES
from millrace.workload.rollout import OF_FLEETS, PART_OF_MEMORY, Approval, Rollout
from millrace.workload.section import Section
from millrace.workload.training import Training
from millrace.workload.tuning import Tuning, tuning_usd


def _known_task(name: str) -> str:
    if name not in TASKS:
        raise FieldError(expected=one_of(name, TASKS), came=name)
    return name


FeatureForm = Literal["history", "calendar"]
"""The keys that make a feature more than a column. Each has a default encoder, as each kind of column has."""


class Feature(Section):
    """One input of the model: a column, a history, or a calendar.

    features:
      - price                                          # the column `price`
      - {name: street, encoder: category}              # the column `street`, with an encoder of your choice
      - {name: load, history: [demand], hours: 24}     # `demand` in earlier rows of the same entity
      - {name: when, calendar: timestamp}              # hour, weekday and month of a column of times
    """

    name: str
    """The name of the feature. A plain column has the same name."""
    encoder: str | None = None
    """An encoder of `millrace.features.catalogue`. None: the default for the kind of column or for the form."""
    history: tuple[str, ...] = ()
    """The columns whose past is read. Empty for any other feature."""
    hours: Positive | None = None
    """How far back a history reaches, in hours."""
    every_hours: Positive = 1
    """The hours from one step of a history to the next."""
    calendar: str = ""
    """The column of times whose calendar is read. Empty for any other feature."""
    parts: tuple[Literal["hour", "weekday", "month"], ...] = ()
    """The parts of a calendar. Empty: all of them."""
    entity: tuple[str, ...] = ()
    """The prediction's key without its event time.

    `Prediction` sets this field and the next in its histories. They are no keys of workload.yaml."""
    event_time: str = ""
    """The prediction's event time."""

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
        """The key that makes the feature more than a column: `history` or `calendar`. None for a plain column."""
        return next((key for key in get_args(FeatureForm) if getattr(self, key)), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that the feature reads."""
        return self.history or (self.calendar or self.name,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The cells that a row brings to the model for this feature, as `Encoder.inputs`.

        A history has its past under its own name; beside it the row brings its event time and its own cells."""
        return (self.name, self.event_time, *self.history) if self.history else self.columns


SET_BY_PREDICTION = ("entity", "event_time")
"""The fields of a feature that are no keys of workload.yaml."""


SET_ELSEWHERE = ("horizon_hours", "horizons_hours", "labels", "costs")
"""The fields of a prediction that are no keys of workload.yaml: its `label` says them, or `policy.automate`."""


class Prediction(PredictedLabel):
    """What is predicted, and from which columns.

    `label` has one of these forms in workload.yaml, and a validator turns it into plain fields:

        label: outcome                                     label="outcome"
        label: {column: price, horizon_hours: 24}          label="price", horizon_hours=24
        label: {column: price, horizon_hours: [1, 2, 3]}   label="price", horizon_hours=3, horizons_hours=(1, 2, 3)
        label: [rain, wind]                                label="rain, wind", labels=("rain", "wind")
    """

    task: Annotated[str, AfterValidator(_known_task)]
    """What is answered: a task of `millrace.tasks.catalogue`."""
    key: tuple[str, ...]
    """The columns that identify an entity at a moment. A label without a prediction id finds its decision by them."""
    event_time: str
    """The column that says when the row was true."""
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The contract's columns that hold the label."""
        return self.labels or (self.label,)

    @property
    def horizons(self) -> tuple[float, ...]:
        """How many hours ahead of a row its labels lie, rising. Mostly one number."""
        return self.horizons_hours or (self.horizon_hours,)

    @property
    def dates(self) -> tuple[AnswerField, ...]:
        """The field that says for when an answer is; none if the label is that of the row itself."""
        field = AnswerField(name=MOMENT, kind="text", optional=True, length=len(self.horizons_hours))
        return (field,) if self.horizon_hours else ()

    def predicted_for(self, event_time: datetime) -> str | list[str] | None:
        """The moment whose label the answer to a row of that time is, as `2026-11-28T06:00:00Z`; a list for several.

        None if the label is that of the row itself, and for a moment beyond the calendar."""
        if not self.horizon_hours:
            return None
        try:
            ahead = [event_time + timedelta(hours=hours) for hours in self.horizons]
        except OverflowError:
            return None
        found = [moment.isoformat().replace("+00:00", "Z") for moment in ahead]
        return found if self.horizons_hours else found[0]

    @property
    def label_tables(self) -> tuple[str, ...]:
        """The tables that labels come from. If the label lies ahead, a row brings the label of an earlier row."""
        return ("labels", "rows") if self.horizon_hours else ("labels",)

    @model_validator(mode="before")
    @classmethod
    def _label_at_a_horizon(cls, values: Any) -> Any:
        label = values.get("label") if isinstance(values, dict) else None
        # A list of names: several labels of the same row.
        if isinstance(label, list):
            if len({*map(str, label)}) != len(label) or len(label) < 2 or "labels" in values:
                raise FieldError(field="label", expected="the names of two columns or more, each once", came=label)
            return values | {"label": ", ".join(map(str, label)), "labels": label}
        if not isinstance(label, dict):
            return values
        if set(label) != {"column", "horizon_hours"} or "horizon_hours" in values:
            raise FieldError(field="label", expected="a column's name, or column and horizon_hours", came=label)
        # A column and a horizon, or a rising list of horizons, the last of which is the farthest.
        ahead = label["horizon_hours"]
        if not isinstance(ahead, list):
            return values | {"label": label["column"], "horizon_hours": ahead}
        if not ahead or not all(isinstance(one, int | float) for one in ahead) or ahead != sorted({*ahead}):
            raise FieldError(field="label.horizon_hours", expected="hours that rise", came=ahead)
        return values | {"label": label["column"], "horizon_hours": ahead[-1], "horizons_hours": ahead}

    @model_validator(mode="after")
    def _histories_know_the_key(self) -> Prediction:
        # The fields `entity` and `event_time` are empty in workload.yaml. In a declaration that was written and is read
        # again they have what this validator has set. Anything else was set by hand and is refused.
        if any(
            (feature.entity or self.entity, feature.event_time or self.event_time) != (self.entity, self.event_time)
            for feature in self.features
        ):
            keys = ", ".join(key for key in Feature.model_fields if key not in SET_BY_PREDICTION)
            raise FieldError(field="features", expected=f"the keys {keys} only", came=" or ".join(SET_BY_PREDICTION))
        looks_around = self.horizon_hours > 0 or any(feature.history for feature in self.features)
        if looks_around and self.event_time not in self.key:
            # Without the event time in the key an entity has one row only: none before it and none after it.
            expected = f"{self.event_time} in it for a history or a label ahead"
            raise FieldError(field="key", expected=expected, came=list(self.key))
        # The model is frozen, so the validator sets the field by `__setattr__` of object.
        known = {"entity": self.entity, "event_time": self.event_time}
        object.__setattr__(
            self,
            "features",
            tuple(feature.model_copy(update=known if feature.history else {}) for feature in self.features),
        )
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The cells that a row brings to the model, each once, in declared order: columns, and pasts of histories."""
        return tuple(dict.fromkeys(name for feature in self.features for name in feature.inputs))

    @property
    def entity(self) -> tuple[str, ...]:
        """The key without the event time."""
        return tuple(name for name in self.key if name != self.event_time)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The contract's columns that the features read, each once, in declared order."""
        return tuple(dict.fromkeys(column for feature in self.features for column in feature.columns))

    @property
    def tensor_columns(self) -> tuple[str, ...]:
        """The contract's columns whose cells become tensors: those of the features, and the labels."""
        return (*self.feature_columns, *self.label_columns)


class Monitors(Section):
    """How the live model is watched."""

    window_days: Annotated[int, Field(ge=1)]
    """The length of a window, in days of event time."""
    schedule: str
    """When the monitor runs (UTC), as EventBridge Scheduler writes it: `cron(0 6 ? * MON *)`."""
    false_alarm_rate: Annotated[float, Field(ge=0.001, lt=0.5)]
    """The probability with which a window without any change exceeds its bound. The bounds are calibrated for it.

    A smaller one would need a longer history than the bounds are calibrated with."""
    error_windows: Annotated[int, Field(ge=1)]
    """The error alarm is raised after this many windows in a row above the bound."""
    error_bound: Positive | None = None
    """The error above which a window counts for the alarm, as the task counts errors. None: it is calibrated."""
    remind_hours: Positive | None = 24
    """People are reminded of a raised alarm after so many hours, after 2, 4, 8, … times as many, until somebody acts.

    The third reminder and all later ones call the owner. None: nobody is reminded."""
    label_delay_hours: Positive | None = None
    """The hours after a decision's event time in which its label must come. None: labels may come at any time."""
    refused_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The share of refused rows that a drop may have without an alarm, if three times the usual share is less."""
    figures: Annotated[dict[str, BusinessFigure], Field(max_length=10)] = Field(default_factory=dict)
    """Figures of the business, by a name of your choice: beyond a bound they raise the alarm `figures`."""
    held_labels: Annotated[float, Field(gt=0, le=0.05)] | None = 0.01
    """The probability with which a batch of labels that is like the earlier ones is held for a person all the same.

    None: no batch is held."""
    corrections_a_day: Annotated[int, Field(ge=0)] | None = None
    """So many labels of one sender may contradict known ones in 24 hours, and of all senders three times as many; more
    are held for a person.

    None: one in a hundred of the table's labels, at least 20."""


class Retraining(Section):
    """When the guard lets a retraining start."""

    alarms: tuple[Literal["input-drift", "error", "figures"], ...] = ("input-drift", "error")
    """The alarms that may start one; for any other the guard refuses."""
    schedule: str | None = None
    """When a retraining is requested without an alarm (UTC), as EventBridge Scheduler writes it. None: never."""
    cool_down_days: Annotated[int, Field(ge=0)]
    """The least number of days from one retraining to the next. A person's command need not wait."""
    minimum_new_labels: Annotated[int, Field(ge=0)]
    """The labels that must have come since the last retraining. A person's command needs none."""
    minimum_drifted_labels: Annotated[int, Field(ge=0)] | None = None
    """The labels that must have come of rows since the first window above its bound. None: `minimum_new_labels`.

    A model learns nothing of a change from labels of the time before it. A person's command needs none. With
    `policy.labels_a_day`, the windows above their bound ask people for so many."""
    without_labels: Literal["keep", "floor"] = "keep"
    """Who answers after an alarm while these labels are missing: the live version (`keep`), or the rule (`floor`)."""
    maximum_runs_per_month: Annotated[int, Field(ge=1)]
    """The retrainings that a month (UTC) may have."""
    usd_per_error: Annotated[float, Field(ge=0)] | None = None
    """What a wrong answer costs, where `policy.automate.costs` does not say it; of amounts, a unit of error. It decides
    nothing: `simulate` counts with it."""
    maximum_corrected: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The share of labelled rows that may have another label than when the live version was trained; of numbers also
    how far the labels may have moved, as a share of their spread. Beyond it a training waits for a person."""

    @property
    def drifted_labels(self) -> int:
        """The labels that must have come of rows since the first window above its bound."""
        wanted = self.minimum_drifted_labels
        return self.minimum_new_labels if wanted is None else wanted


class Budget(Section):
    """What trainings may cost."""

    monthly_usd: Positive
    """The most that all trainings and searches of a month (UTC) may reserve, in US dollars."""


class BatchScoring(Section):
    """How large files are scored."""

    instances: Annotated[int, Field(ge=1, le=100)] = 4
    """The most instances of one batch transform. It has one for each 100 shards of 5 MB."""


class Explanations(Section):
    """How a model is explained: on test rows in its report, and on request row by row at the endpoint."""

    rows: Annotated[int, Field(ge=0, le=4096)] = 32
    """The number of test rows, spread evenly, that the report explains. 0: nothing is explained, even on request."""


Sentence = Annotated[str, Field(min_length=1, max_length=900, pattern=r"\S")]


class Card(Section):
    """What only people can say of a model. The model card of each version has it beside what the run measured."""

    intended_use: Sentence
    """Who uses the answers, and for which decision."""
    out_of_scope: Sentence
    """What the answers must not be used for."""
    limitations: Sentence
    """What makes the answers worse."""
    risk: Literal["low", "medium", "high"]
    """How bad a wrong answer is."""
    risk_reason: Sentence
    """Why."""
    licence: Sentence | None = None
    """The model's licence, for the bill of materials."""
    repository: Sentence | None = None
    """The URL of its sources, for the same."""


Duty = Literal["data", "model", "oversight", "monitoring", "incidents"]
"""What somebody may answer for in the owner's place: elements of Article 17(1) of the EU AI Act whose work goes on
after a release, `data` (f), `model` (b, c, d), `monitoring` (h) and `incidents` (i), and Article 14's `oversight`.
https://eur-lex.europa.eu/eli/reg/2024/1689/oj"""


class Workload(Section):
    """The whole declaration. Every default is beside its field."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,23}$")]
    """The name of the folder in `workloads/`."""
    owner: str
    """Who answers for the workload. The model card, the bill of materials and `millrace validate` name the owner."""
    duties: dict[Duty, Sentence] = Field(default_factory=dict)
    """Who answers in the owner's place, for each a person, a team or a role."""
    prediction: Prediction
    training: Training
    gates: Gates
    rollout: Rollout
    monitors: Monitors
    retraining: Retraining
    budget: Budget
    policy: Policy | None = None
    """What an answer leads to. None: every answer of a model acts."""
    consumers: Annotated[Consumers, Field(default_factory=dict)]
    """Where decisions go, by name."""
    jobs: EndJobs | None = None
    """Callers may leave a request and come back for its result. None: they wait for it."""
    stream: Stream | None = None
    """Rows come as records of a stream, too. None: they do not."""
    queries: Annotated[Queries, Field(default_factory=dict)]
    """Rows come by scheduled queries, too, by name."""
    sources: Annotated[Sources, Field(default_factory=dict)]
    """Rows come from databases and APIs of others, too, by name."""
    known_keys: KnownKeys | None = None
    """What is known of each key. None: a request sends the past of its rows."""
    scoring: BatchScoring = BatchScoring()
    explanations: Explanations = Explanations()
    card: Card | None = None
    """Every version needs it, except in the stage `local`."""
    tuning: Tuning | None = None
    """The search for hyperparameters that `millrace tune` starts."""

    def sources_of(self, stage: str) -> dict[str, RowSource]:
        """The sources that the stage reads."""
        return {name: one for name, one in self.sources.items() if not one.stages or stage in one.stages}

    @property
    def entity(self) -> tuple[str, ...]:
        """The columns that name what a row is about: those of a split by group, else the key without the event time."""
        if self.training.split.by == "group":
            return self.training.split.columns
        return self.prediction.entity

    @property
    def split_columns(self) -> tuple[str, ...]:
        """The contract's columns that a split reads, besides key and event time."""
        division = self.training.split
        if division.by == "group":
            return division.columns
        return (division.column,) if division.by == "column" else ()

    def approval(self, *, production: bool) -> Approval:
        """Who approves a version in a stage like `prod`, or in another stage."""
        is_high = self.card is not None and self.card.risk == "high"
        return self.rollout.approval or ("person" if production or is_high else "none")

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Workload:
        for field, expected, came in self._misfits():
            raise FieldError(field=field, expected=expected, came=came)
        return self

    def _misfits(self) -> Iterator[tuple[str, str, object]]:
        policy = self.policy
        asks = policy and not policy.shadowed and (policy.automate or policy.review_above)
        if self.card and self.card.risk == "high" and not asks:
            expected = "automate or review_above, since a person decides some answers where card.risk is high"
            yield "policy", expected, "shadowed, or held_out" if policy else "nothing"
        if self.retraining.without_labels == "floor" and not (policy and policy.floor):
            expected = "keep, or floor beside policy.floor, which says how many labels decide"
            yield "retraining.without_labels", expected, "floor"
        if "figures" in self.retraining.alarms and not self.monitors.figures:
            yield "monitors.figures", "a figure, since retraining.alarms has figures", "none"
        if (self.rollout.min_instances or 1) > (most := self.rollout.max_instances):
            yield "rollout.min_instances", f"max_instances at most, which is {most}", self.rollout.min_instances
        for field in sorted(self.rollout.model_fields_set & OF_FLEETS if self.rollout.has_no_endpoint else ()):
            yield f"rollout.{field}", "nothing, since rollout.host is function", getattr(self.rollout, field)
        most_mb, size = self.rollout.memory_mb / PART_OF_MEMORY, self.gates.size
        if self.rollout.has_no_endpoint and (size is None or size.max_mb > most_mb):
            expected = f"at most {most_mb:g}, rollout.memory_mb / {PART_OF_MEMORY}, since rollout.host is function"
            yield "gates.size.max_mb", expected, size.max_mb if size else "nothing"
        if "assisted" in self.rollout.phases:
            if policy is None:
                expected = "a policy beside the phase assisted, since people answer its review queue"
                yield "policy", expected, "nothing"
            if not TASKS[self.prediction.task].error_is_share and not self.rollout.assisted.within:
                expected = f"how near an answer is that people agree with, for the task {self.prediction.task}"
                yield "rollout.assisted.within", expected, 0

    @model_validator(mode="after")
    def _costs_choose_the_answer(self) -> Workload:
        prediction, costs = self.prediction, self.policy.costs if self.policy else None
        # A declaration that was written and is read again has them in both places.
        if prediction.costs and prediction.costs != costs:
            came = prediction.costs.model_dump(exclude_defaults=True)
            raise FieldError(field="prediction.costs", expected="costs in policy.automate", came=came)
        if costs:
            costs.check(prediction.task)
            if prediction.threshold != 0.5:
                expected = "no threshold beside policy.automate.costs, which choose the answer"
                raise FieldError(field="prediction.threshold", expected=expected, came=prediction.threshold)
            # The model is frozen, so the validator sets the field by `__setattr__` of object.
            object.__setattr__(self, "prediction", prediction.model_copy(update={"costs": costs}))
        return self

    @model_validator(mode="after")
    def _tuning_can_be_paid(self) -> Workload:
        if (tuning := self.tuning) is None:
            return self
        training = self.training
        # Each hyperparameter that a tuning may try must suit the family: `with_parameters` validates it.
        for parameters in tuning.candidates(FAMILIES[training.family], training.parameters):
            with within("tuning"):
                training.with_parameters(parameters)
        for stage, instance in training.instance.items():
            if instance not in PRICES:
                continue
            minutes = training.max_runtime_minutes
            usd = tuning_usd(tuning, instance=instance, instances=training.instances, max_minutes=minutes)
            if usd > tuning.budget_usd:
                cost = f"{tuning.max_jobs} trainings of {minutes} minutes on {training.instances} {instance}"
                expected = f"budget_usd of {usd:.2f} at least, the cost of {cost} in the stage {stage}"
                raise FieldError(field="tuning", expected=expected, came=tuning.budget_usd)
        return self


def check_card(workload: Workload, stage: str) -> None:
    """Raise WorkloadError if the versions of this stage need a model card, and `card` or `owner` is missing."""
    where, needed = f"{workload.name}/workload.yaml", f"for the model cards of {stage}"
    if stage != "local" and workload.card is None:
        fields = ", ".join(Card.model_fields)
        raise WorkloadError(where=where, field="card", expected=f"{fields}, {needed}", came="nothing")
    if stage != "local" and not workload.owner.strip():
        raise WorkloadError(where=where, field="owner", expected=f"a name, {needed}", came="nothing")
