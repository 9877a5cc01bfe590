"""Declares a proposal: renders `workload.yaml` and `contract.yaml` from the templates beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from millrace.console.image_folder import SPLIT
from millrace.console.new.families import Family, suited
from millrace.console.new.kinds import LABEL_KINDS, label_scale
from millrace.console.new.spans import CONFIDENCE, FIRST_SHARE, Naive, Spans, least, margin
from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import TYPES_OF_KIND
from millrace.contract.number_format import NumberFormat
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Generated, Table
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.evaluation.gates.simple import strongest
from millrace.features.signature import TensorKind
from millrace.models.parameters import Scale
from millrace.workload.declaration import Card

if TYPE_CHECKING:
    from millrace.console.new.features import Features
    from millrace.console.new.reading import Reading

RECENT_DAYS = 90
"""Days of rows on which a later model is compared with the live one, if the rows are not split by days."""
EVEN = 0.2
"""Classes may weigh the same in training if at least this share of the rows is outside the most frequent class."""
TREES_ANSWER = ("binary", "multiclass", "regression", "interval")
"""The tasks with boosted trees beside a network; a forecast would need trees for each of its horizons."""
TREE_COLUMNS = 300
"""The most numbers in a row's history beside which boosted trees answer: they take each as a column."""
ASKED = 100
"""So many rows without a label wait for people at a time."""
GRAINS = {
    "rows": "One row for each thing to predict.",
    "labels": "One row for each thing whose truth has become known.",
}

NEXT_LINE = "\x85"
"""A line break of YAML that PyYAML leaves as it is."""


@dataclass(frozen=True, kw_only=True)
class ProposedPrediction:
    """The proposed prediction: label, key, event time, features."""

    name: str
    task: str
    label: str
    labels: tuple[str, ...] = ()
    """The columns of several labels, of which `label` has the names; empty for one."""
    positive: str | int | bool | None
    """None where the task has no positive class."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `prediction` in workload.yaml."""
    label_scale: Scale = "identity"
    """The scale on which a label that is a number is learnt, by its skew."""
    horizon_hours: float = 0
    """How many hours after a row its label is known; 0 for the label of the row itself."""
    key: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]
    """Columns that are features as they are."""
    texts: tuple[str, ...] = ()
    """The columns of `features` that are free text."""
    text_encoder: str = "text"
    derived: tuple[dict[str, Any], ...] = ()
    """Calendars and histories, as workload.yaml has them."""
    every_hours: float = 1.0
    """The step of several horizons, in hours: the distance of the rows."""
    split_column: str = ""
    """The column that says which part a row belongs to; "" without one."""
    is_in_time: bool = True
    """Whether the rows have times of their own, by which they are split."""
    group: tuple[str, ...] = ()
    """The columns of what a row is about, by which the rows are split; empty for another split."""
    pieces: int = 0
    """How many first pieces of the column's text name it; 0 for whole cells."""
    is_in_order: bool = False
    """Whether rows without times are in the order of time, by which they are split."""
    image_side: int = 0
    """The shorter side of the images, in pixels; 0 without images."""

    @property
    def declared(self) -> tuple[str | dict[str, Any], ...]:
        """All features as workload.yaml has them: a name, or more, such as `{"name": "text", "encoder": "text"}`."""
        named = ({"name": name, "encoder": self.text_encoder} if name in self.texts else name for name in self.features)
        return (*named, *self.derived)

    @property
    def label_columns(self) -> tuple[str, ...]:
        return self.labels or (self.label,)

    @property
    def columns(self) -> int:
        """The number of inputs but texts, images and histories: these have networks or trunks of their own."""
        return len(self.declared) - len(self.texts) - bool(self.image_side) - self.has_history

    @property
    def takes_trees(self) -> bool:
        """Whether boosted trees can answer beside the network."""
        takes_inputs = not self.texts and not self.image_side and self.past_numbers <= TREE_COLUMNS
        return self.task in TREES_ANSWER and takes_inputs

    @property
    def past_numbers(self) -> int:
        """How many numbers the histories of a row have."""
        past = [each for each in self.derived if "history" in each]
        return sum(len(each["history"]) * round(each["hours"] / self.every_hours) for each in past)

    @property
    def is_ordered(self) -> bool:
        """Whether later rows test and earlier rows train."""
        return (self.is_in_time or self.is_in_order) and not self.group

    @property
    def has_history(self) -> bool:
        return any("history" in feature for feature in self.derived)


def prediction_of(reading: Reading, features: Features) -> ProposedPrediction:
    choices = reading.choices
    rules = [column.find(ImageFormat) for column in reading.contract.columns if column.name in features.columns]
    return ProposedPrediction(
        name=choices.name,
        task=reading.kind.name,
        label=", ".join(reading.label_names),
        labels=reading.choices.labels,
        positive=reading.guesses["positive"].value if "positive" in reading.guesses else None,
        settings=reading.kind.settings(reading.label),
        label_scale=label_scale(reading.label) if reading.kind.name == "regression" else "identity",
        horizon_hours=choices.horizon_hours,
        key=reading.key,
        event_time=reading.event_time,
        features=features.columns,
        texts=features.texts,
        derived=features.derived,
        every_hours=features.every_hours,
        split_column=SPLIT if not reading.is_in_time and SPLIT in reading.contract.names else "",
        is_in_time=reading.is_in_time,
        group=reading.group,
        pieces=reading.pieces,
        is_in_order=choices.is_in_order,
        image_side=min((min(rule.shape[1:]) for rule in rules if rule), default=0),
    )


def workload_document(
    prediction: ProposedPrediction,
    spans: Spans,
    naive: Naive,
    *,
    source: str,
    rows: int,
    stretches: int = 0,
    family: Family | None = None,
    tried: Sequence[str] = (),
    decisions: object = None,
    asks_people: bool = False,
) -> str:
    """The text of `workload.yaml`.

    `source` is the name of the file and `rows` the number of its rows that the contract accepts. `stretches` is the
    number of stretches of windows that a bound on the error rests on. `family` is the one that a trial has chosen, and
    `tried` are its lines; without one it is the family that suits the kind of data. `asks_people`: no row of the file
    has a label, and `rows` are those that people label first."""
    if family and family.part:  # it reads pieces
        prediction = replace(prediction, text_encoder="tokens")
    kind, hours = LABEL_KINDS[prediction.task], prediction.horizon_hours
    rule = kind.naive_rule(naive.lag_hours)
    return _render(
        "workload.yaml.j2",
        prediction=prediction,
        spans=spans,
        naive=naive,
        source=source,
        rows=rows,
        stretches=stretches,
        question=question(prediction),
        ahead={"column": prediction.label, "horizon_hours": kind.horizon(hours, prediction.every_hours)}
        if hours
        else None,
        family=family or usual_family(prediction, naive, rows),
        tried=tried,
        decisions=decisions,
        first_rows=rows if asks_people else max(1, int(FIRST_SHARE * rows)),
        first_share=f"{FIRST_SHARE:.0%}",
        asks=ASKED if asks_people else 0,
        gate={"kind": rule.kind} | rule.model_dump(),
        calibration=kind.calibration,
        # A later model is compared on as many days as test, but on no fewer than an interval of errors needs.
        recent_days=max(spans.test_days, FEWEST_BLOCKS) if spans.test_days else max(RECENT_DAYS, spans.days),
        margin=margin(naive),
        is_margin_wide=margin(naive) != least(naive),
        confidence=CONFIDENCE,
        # Models of a rare class hardly differ in their share of wrong answers, so they are compared by the log loss.
        measure=", measure: log_loss" if naive.has_rare_class else "",
        rival=_rival(prediction),
        fewest_blocks=FEWEST_BLOCKS,
        card=list(Card.model_fields),
    )


def question(prediction: ProposedPrediction) -> str:
    """What a model of it answers, as a title has it."""
    if prediction.labels:
        return f"Which of {prediction.label} hold?"
    if prediction.positive is not None:
        return f"Will {prediction.label} be {prediction.positive}?"
    if prediction.horizon_hours:
        hours = f"{prediction.horizon_hours:g} hour{'s' * (prediction.horizon_hours != 1)}"
        return f"What will {prediction.label} be in {hours}?"
    return f"What is {prediction.label}?"


def usual_family(prediction: ProposedPrediction, naive: Naive, rows: int) -> Family:
    """The family that suits the kind of data, without a trial."""
    return suited(
        rows=rows,
        image_side=prediction.image_side,
        has_history=prediction.has_history,
        texts=len(prediction.texts),
        columns=prediction.columns,
        has_trees=prediction.takes_trees,
        label_scale=prediction.label_scale,
        is_ordered=prediction.is_ordered,
        has_even_classes=_has_even_classes(prediction, naive),
    )


def _has_even_classes(prediction: ProposedPrediction, naive: Naive) -> bool:
    """Whether the label is a class and no class has nearly all rows.

    Without a lag the naive rule answers the most frequent class, so its error is the share of all other rows."""
    is_class = bool(LABEL_KINDS[prediction.task].calibration) and not prediction.labels
    return is_class and naive.lag_hours is None and naive.error >= EVEN


def _rival(prediction: ProposedPrediction) -> str:
    """The simple model that a later one is compared with; "" if answers are several numbers, which have none."""
    if "quantiles" in prediction.settings or prediction.labels:
        return ""
    special: dict[TensorKind, bool] = {
        "history": prediction.has_history,
        "text": bool(prediction.texts),
        "image": bool(prediction.image_side),
    }
    # Nearly every table has numbers and categories, so the rival must take both.
    return strongest(["numbers", "categories", *(kind for kind, is_there in special.items() if is_there)])


def contract_document(prediction: ProposedPrediction, rows: Table, *, source: str, rows_seen: int) -> str:
    """The text of `contract.yaml`. `source` is the name of the file, `rows_seen` the number of its rows."""
    return _render(
        "contract.yaml.j2",
        prediction=prediction,
        source=source,
        rows_seen=rows_seen,
        tables=(replace(rows, name="rows"), _labels(prediction, rows)),
        grains=GRAINS,
        types=TYPES_OF_KIND,
        of_files=_of_files,
        options=_options,
        # Words for missing cells that the table declares for all are not repeated.
        properties=lambda of, table: [{"property": key, "value": it} for key, it in _custom(of, _missing_words(table))],
    )


def _labels(prediction: ProposedPrediction, rows: Table) -> Table:
    """The table of late labels.

    A late label names its row by key and event time, or by the id of its prediction. A generated event time is not
    known to whoever sends labels, so then the id is required."""
    names = dict.fromkeys([*prediction.key, prediction.event_time, *prediction.label_columns])
    known = (rows.column(name) for name in names)
    columns = (
        *(replace(column, required=True, generated=_generated_of_label(column)) for column in known),
        Column(
            name="prediction_id",
            kind="string",
            required=bool(rows.column(prediction.event_time).generated),
            rules=(Length(maximum=128),),
            missing_words=_missing_words(rows),
        ),
    )
    return Table(name="labels", columns=columns, csv=replace(rows.csv, columns=()))


def _generated_of_label(column: Column) -> Generated:
    """What generates this column in the table `labels`: "" if the labels' file has the column.

    A generated event time is that of the labels' own drop. A generated row id is the prediction's, by which a label
    names its row."""
    return ("prediction_id" if column.kind == "string" else "event_time") if column.generated else ""


def _of_files(table: Table) -> Iterator[tuple[str, Any]]:
    """Custom properties on how the files are written, only where that is unusual: `("csv", {"delimiter": ";"})`."""
    usual = CsvForm()
    form = {each.name: getattr(table.csv, each.name) for each in fields(CsvForm)}
    if other := {name: value for name, value in form.items() if value != getattr(usual, name)}:
        yield "csv", {name: list(value) if isinstance(value, tuple) else value for name, value in other.items()}
    if words := _missing_words(table):
        yield "missingValues", list(words)
    if table.ignored:
        yield "ignoredColumns", list(table.ignored)


def _missing_words(table: Table) -> tuple[str, ...]:
    """The words for missing cells that all columns share, the label aside: a word may be one of its classes."""
    first, *others = [column.missing_words for column in table.columns if not column.label] or [()]
    return tuple(word for word in first if all(word in words for words in others))


def _custom(column: Column, usual: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if column.label or column.is_protected:
        yield "role", "label" if column.label else "protected"
    if column.is_input:
        yield "input", True
    if column.unit:
        yield "unit", column.unit
    if part := column.part:
        yield "part", {name: value for name, value in asdict(part).items() if value}
    if form := column.number_format:
        said = {"units": dict(form.units), "decimal": form.decimal, "thousands": form.thousands, "clock": form.clock}
        usual_form = NumberFormat()
        yield (
            "numberFormat",
            {name: value for name, value in said.items() if value and value != getattr(usual_form, name)},
        )
    if column.ahead:
        yield "ahead", {"column": column.ahead.column, "hours": column.ahead.hours}
    if column.generated:
        yield "generated", column.generated
    if column.missing_words != usual:
        yield "missingValues", list(column.missing_words)
    if image := column.find(ImageFormat):
        scale = {"scale": True} if image.scale else {}
        yield "image", {"encoding": image.encoding, "shape": list(image.shape), **scale}


def _options(column: Column) -> dict[str, Any]:
    # A rule that the column does not have has no bounds, and what has no value is left out at the end.
    bounds, length = column.find(Range) or Range(), column.find(Length) or Length()
    found: dict[str, Any] = {
        "minimum": bounds.minimum.isoformat() if isinstance(bounds.minimum, date) else bounds.minimum,
        "maximum": bounds.maximum,
        "maxLength": length.maximum,
        "format": column.time_format.pattern if column.time_format else None,
    }
    if column.kind.startswith("timestamp"):
        found["timezone"] = column.kind == "timestamp_utc"
    return {name: value for name, value in found.items() if value is not None}


def _render(name: str, **values: Any) -> str:
    """The template with these values. A value that is missing is an error."""
    environment = Environment(  # noqa: S701 # nosec B701 - YAML has no markup to escape; `yaml` quotes
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": _yaml, "line": lambda text: " ".join(text.split()), "count": "{:,}".format}
    return environment.get_template(name).render(values)


def _yaml(value: Any) -> str:
    """The value in YAML, on one line."""
    # `safe_dump` ends a plain scalar with a line of three dots.
    plain = dict(value) if isinstance(value, Mapping) else value
    form: dict[str, Any] = {"default_flow_style": True, "width": 2**31, "sort_keys": False}
    text: str = yaml.safe_dump(plain, allow_unicode=True, **form)
    if NEXT_LINE in text:  # it would be read as a space
        text = yaml.safe_dump(plain, allow_unicode=False, **form)
    return text.removesuffix("\n").removesuffix("...").removesuffix("\n")
