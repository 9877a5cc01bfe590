"""A proposal: everything that a new workload is, worked out of a file before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from console.new.choices import FEWEST_ROWS, Choices, check_choices
from console.new.declaration import workload_document
from console.new.documents import contract_document
from console.new.features import Features, find_features
from console.new.findings import findings
from console.new.guesses import Guess, Guesser
from console.new.identity import OBSERVED_AT, ROW_ID, with_event_time, with_key
from console.new.images import SPLIT, observe_images
from console.new.in_file import as_in_file, read_rows
from console.new.kinds.catalogue import KINDS
from console.new.leaks import find_leaks
from console.new.observed import LeftOut, Observed, observe
from console.new.people import why_protected
from console.new.rehearsal import Rehearsal, rehearse
from console.new.rules import column_of
from console.new.series import Series, find_series
from console.new.source import Source
from console.new.spans import HELD_OUT, NO_NAIVE, Naive, Spans, find_spans, spans_without_time
from console.new.surface import Surface
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import LINE, Column, Generated, Table, arrow_schema
from millrace.contract.validate import validate
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

AT = "at"
"""The event time of images without one: generated, that of the drop's object or of the request."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A workload that the file's own rows keep."""

    surface: Surface
    contract: Table
    guesses: dict[str, Guess[Any]]
    """By `label`, `kind`, `positive`, `event time`, `key`."""
    not_in_contract: tuple[LeftOut, ...]
    no_features: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """How the contract reads the file, and what is conspicuous in it."""
    spans: Spans
    rehearsal: Rehearsal
    series: Series | None
    accepted: pa.Table
    """The rows that the contract accepts, in the order of event time, with `_line`."""
    refused: tuple[QuarantinedRow, ...]
    """The rows that it would quarantine."""
    contract_yaml: str = field(repr=False)
    workload_yaml: str = field(repr=False)

    @property
    def naive(self) -> Naive:
        """The rule that a model must beat."""
        return self.rehearsal.naive


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What was read off the file and guessed from it."""

    source: Source
    choices: Choices
    seen: tuple[Observed, ...]
    guesses: dict[str, Guess[Any]]
    contract: Table
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    is_in_time: bool

    @property
    def where(self) -> str:
        return self.source.path.name

    @property
    def is_file_droppable(self) -> bool:
        """Whether the file itself is a drop; images are put into Parquet first."""
        return self.source.path.is_file() and not any(column.find(ImageFormat) for column in self.contract.columns)

    @property
    def label(self) -> Observed:
        found: Observed = self.guesses["label"].value
        return found

    @property
    def event_time(self) -> str:
        return str(self.guesses["event time"].value.name)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.guesses["key"].value)

    def surface(self, features: Features) -> Surface:
        choices = self.choices
        rules = [column.find(ImageFormat) for column in self.contract.columns if column.name in features.columns]
        return Surface(
            name=choices.name,
            owner=choices.owner,
            task=self.guesses["kind"].value,
            label=self.label.name,
            positive=self.guesses["positive"].value if "positive" in self.guesses else None,
            horizon_hours=choices.horizon_hours,
            key=self.key,
            event_time=self.event_time,
            features=features.columns,
            derived=features.derived,
            split_column=SPLIT if not self.is_in_time and SPLIT in self.contract.names else "",
            is_in_time=self.is_in_time,
            is_in_order=choices.is_in_order,
            image_side=min((min(rule.shape[1:]) for rule in rules if rule), default=0),
        )


def propose(source: Source, choices: Choices, *, today: date) -> Proposal:
    """The proposal for a file of labelled rows.

    `today` stands for the time at which rows without one of their own will be dropped. Raises ConfigurationError that
    says what could not be decided and between what, or what training would stop at."""
    check_choices(choices, source)
    reading = _read(source, choices, today)
    accepted, refused = _validated(reading, today)
    series = find_series(accepted, key=reading.key, event_time=reading.event_time) if reading.is_in_time else None
    features = _features(reading, series)
    spans, rehearsal = _rehearsed(reading, features, accepted)
    leaks = _leaks(reading, features, rehearsal)
    features = features.without(leaks)
    _check_any(reading, features)
    surface, rows = reading.surface(features), accepted.num_rows
    spans = replace(spans, walk_forward_steps=rehearsal.walk_forward_steps)
    moments = rehearsal.examples.times_N if reading.is_in_time else None
    found = findings(reading.seen, reading.label, accepted.drop_columns([LINE]), moments, reading.key)
    return Proposal(
        surface=surface,
        contract=reading.contract,
        guesses=reading.guesses,
        not_in_contract=reading.left_out,
        no_features=features.others,
        notes=(*reading.notes, *found),
        spans=spans,
        rehearsal=rehearsal,
        series=series,
        accepted=accepted,
        refused=refused,
        contract_yaml=_contract_yaml(reading, surface),
        workload_yaml=workload_document(
            surface, spans, rehearsal.naive, source=reading.where, first_rows=rows, stretches=rehearsal.stretches
        ),
    )


def _read(source: Source, choices: Choices, today: date) -> _Reading:
    where = source.path.name
    seen, images, left_out = _observe(source, choices)
    guesses: dict[str, Guess[Any]] = {}
    guesser = Guesser(where=where, columns=seen)
    guesses["label"] = guesser.label(choices.label, choices.kind)
    label: Observed = guesses["label"].value
    guesses["kind"] = guesser.kind(label, choices.kind)
    if guesses["kind"].value == "binary":
        guesses["positive"] = guesser.positive(label, choices.positive)
    notes = [*source.notes, *(f"{column.name}: {column.changed}" for column in seen if column.changed)]
    is_generated = choices.has_no_event_time or choices.is_in_order
    is_in_time = not is_generated and (not images or bool(guesser.event_time(choices.event_time)))
    if is_in_time or is_generated:
        seen, guesses["event time"] = with_event_time(seen, guesser, choices, where, today, notes)
    else:
        seen, guesses["event time"] = _with_generated_time(seen, today)
    guesser = replace(guesser, columns=seen)
    seen, guesses["key"] = with_key(seen, guesser, guesses["event time"].value, label, choices, where, notes)
    contract = as_in_file(_contract(seen, images, guesses, choices, is_in_time=is_in_time), seen, source)
    return _Reading(
        source=source,
        choices=choices,
        seen=seen,
        guesses=guesses,
        contract=contract,
        notes=tuple(notes),
        left_out=(*left_out, *(LeftOut(name=name, reason="you said so") for name in choices.leave_out)),
        is_in_time=is_in_time,
    )


def _observe(source: Source, choices: Choices) -> tuple[tuple[Observed, ...], dict[str, Column], tuple[LeftOut, ...]]:
    """The columns, the rules of those of images, and what the contract will not have."""
    import pyarrow as pa

    seen: list[Observed] = []
    images: dict[str, Column] = {}
    left_out: list[LeftOut] = []
    for name in source.table.column_names:
        cells = source.table[name]
        if name in choices.leave_out:
            continue
        found: Observed | LeftOut | tuple[Observed, Column]
        if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
            found = observe_images(name, cells, size=choices.size, where=source.path.name)
        else:
            time_format = choices.time_format if choices.event_time in ("", name) else ""
            found = observe(name, cells, typed_text=source.has_typed_text, time_format=time_format, form=source.csv)
        if isinstance(found, tuple):
            observed, images[name] = found
            seen.append(observed)
        elif isinstance(found, LeftOut):
            left_out.append(found)
        else:
            seen.append(found)
    return tuple(seen), images, tuple(left_out)


def _with_generated_time(seen: tuple[Observed, ...], today: date) -> tuple[tuple[Observed, ...], Guess[Observed]]:
    import pyarrow as pa

    moment = pa.scalar(datetime.combine(today, time(), UTC), pa.timestamp("us", "UTC"))
    cells = pa.array([moment.as_py()] * len(seen[0].cells), moment.type)
    made = Observed(name=AT, kind="timestamp_utc", cells=cells, distinct=1)
    reason = "images have none: generated, that of the drop or of the request"
    return (*seen, made), Guess(value=made, reason=reason)


def _contract(
    seen: Sequence[Observed],
    images: dict[str, Column],
    guesses: dict[str, Guess[Any]],
    choices: Choices,
    *,
    is_in_time: bool,
) -> Table:
    key, event_time, label = guesses["key"].value, guesses["event time"].value.name, guesses["label"].value
    columns = []
    for observed in seen:
        if observed.name == label.name:
            column = KINDS[guesses["kind"].value].column(observed, choices.unit)
            if choices.horizon_hours:
                column = replace(column, required=observed.is_complete, is_input=True)
        elif observed.name in images:
            column = images[observed.name]
        elif observed.name == event_time and not is_in_time:
            order: Generated = "row_order" if choices.is_in_order else "event_time"
            column = Column(name=observed.name, kind=observed.kind, generated=order)
        elif observed.name == ROW_ID and choices.has_no_key:
            column = Column(name=ROW_ID, kind="string", generated="row_id")
        else:
            column = replace(column_of(observed), is_protected=bool(why_protected(observed)))
        columns.append(replace(column, required=True) if observed.name in (*key, event_time) else column)
    return Table(name="rows", columns=tuple(columns), keys=(key,))


def _features(reading: _Reading, series: Series | None) -> Features:
    choices = reading.choices
    has_made_time = reading.event_time == OBSERVED_AT and (choices.has_no_event_time or choices.is_in_order)
    made = [OBSERVED_AT] if has_made_time else []
    made += [ROW_ID] if choices.has_no_key else []
    excluded = [] if choices.horizon_hours else [reading.label.name]
    excluded += [] if reading.is_in_time else [reading.event_time, SPLIT]
    found = find_features(
        reading.seen,
        reading.contract,
        excluded=excluded,
        made=made,
        keep=choices.keep,
        event_time=reading.event_time,
        series=series if choices.horizon_hours else None,
    )
    _check_any(reading, found)
    return found


def _check_any(reading: _Reading, features: Features) -> None:
    if not features.columns and not any("history" in feature for feature in features.derived):
        reasons = {one.name: one.reason for one in features.others}
        expected = "a column to predict from"
        raise ConfigurationError(where=reading.where, field="features", expected=expected, came=reasons)


def _validated(reading: _Reading, today: date) -> tuple[pa.Table, tuple[QuarantinedRow, ...]]:
    """The rows that keep the contract, in the order of event time, and those that do not."""
    import pyarrow as pa

    if reading.is_file_droppable:
        at = datetime.combine(today, time(), UTC)
        rows, unparsable = read_rows(reading.source.path, reading.contract, at=at)
    else:
        cells = pa.Table.from_arrays([column.cells for column in reading.seen], schema=arrow_schema(reading.contract))
        lines = pa.array(range(1, cells.num_rows + 1), pa.int64())
        rows, unparsable = cells.append_column(LINE, lines), ()
    verdict = validate(rows, reading.contract)
    accepted = verdict.accepted
    refused = tuple(sorted((*unparsable, *verdict.refused), key=lambda row: row.line or 0))
    if accepted.num_rows < FEWEST_ROWS:
        expected = f"{FEWEST_ROWS} rows that keep the contract"
        came = f"{accepted.num_rows} of {rows.num_rows + len(unparsable)}; the first that does not: {refused[0].detail}"
        raise ConfigurationError(where=reading.where, field="rows", expected=expected, came=came)
    names = dict.fromkeys([reading.event_time, *reading.key])
    return accepted.sort_by([(name, "ascending") for name in names]), refused


def _rehearsed(reading: _Reading, features: Features, accepted: pa.Table) -> tuple[Spans, Rehearsal]:
    """The spans, and what training finds with them: the smallest held-out parts that hold labels enough.

    Raises ConfigurationError of the largest ones where none do."""
    from millrace.datasets.read import times

    surface, kind = reading.surface(features), KINDS[reading.guesses["kind"].value]
    contract_yaml = _contract_yaml(reading, surface)
    problem: ConfigurationError | None = None
    for held_out in HELD_OUT if reading.is_in_time else HELD_OUT[:1]:
        try:
            if reading.is_in_time:
                moments = times(accepted, reading.event_time)
                spans = find_spans(moments, where=reading.where, held_out=held_out)
            else:
                spans = spans_without_time()
            draft = workload_document(surface, spans, NO_NAIVE, source=reading.where, first_rows=accepted.num_rows)
            return spans, rehearse(draft, contract_yaml, accepted, kind, where=reading.where)
        except ConfigurationError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _leaks(reading: _Reading, features: Features, rehearsal: Rehearsal) -> list[LeftOut]:
    images = [column.name for column in reading.contract.columns if column.find(ImageFormat)]
    names = [name for name in features.columns if name not in (*reading.choices.keep, *images, reading.label.name)]
    entity = [name for name in reading.key if name != reading.event_time]
    found = find_leaks(rehearsal.examples, rehearsal.target_N, names, entity=entity, event_time=reading.event_time)
    return [LeftOut(name=one.column, reason=f"{one.reason} (--keep {one.column} takes it)") for one in found]


def _contract_yaml(reading: _Reading, surface: Surface) -> str:
    return contract_document(surface, reading.contract, source=reading.where, rows_seen=reading.source.table.num_rows)
