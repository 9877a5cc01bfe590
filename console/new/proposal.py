"""A proposal: everything that a new workload is, worked out of a file before anything is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from console.new.documents import Surface, contract_document, workload_document
from console.new.guesses import Guess, Guesser, key_texts
from console.new.observed import LeftOut, Observed, observe
from console.new.rules import column_of, label_of, why_no_feature
from console.new.source import Source
from console.new.spans import Naive, Spans, find_naive, find_spans
from millrace.contract.kinds import arrow_type
from millrace.contract.schema import LINE, Table, arrow_schema
from millrace.contract.validate import validate
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

NAME = re.compile(r"^[a-z][a-z0-9_]{1,23}$")
KINDS = ("binary",)
FEWEST_ROWS = 200
OBSERVED_AT, ROW_ID = "observed_at", "row_id"
"""Columns that the drops get where the file has no time, no key."""
ROWS_A_DAY = 50
MOST_DAYS = 56
"""Days over which rows without a time are spread."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Options of the command; empty where a guess is wanted."""

    name: str
    label: str = ""
    positive: str = ""
    event_time: str = ""
    has_no_event_time: bool = False
    time_format: str = ""
    key: tuple[str, ...] = ()
    has_no_key: bool = False
    kind: str = "binary"
    leave_out: tuple[str, ...] = ()
    owner: str = "me"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A workload that the file's own rows keep."""

    surface: Surface
    contract: Table
    guesses: dict[str, Guess[Any]]
    """By `label`, `positive`, `event time`, `key`."""
    not_in_contract: tuple[LeftOut, ...]
    no_features: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """How the drops differ from the file."""
    spans: Spans
    naive: Naive
    accepted: pa.Table
    """The rows that the contract accepts, in the order of event time; `_line` counts the file's rows from 1."""
    refused: tuple[QuarantinedRow, ...]
    """The rows that it would quarantine."""
    contract_yaml: str = field(repr=False)
    workload_yaml: str = field(repr=False)


def propose(source: Source, choices: Choices, *, today: date) -> Proposal:
    """The proposal for a file of labelled rows.

    Rows without a time of their own are spread over the days before `today`. Raises ConfigurationError that says what
    could not be decided and between what."""
    where = source.path.name
    _check(source, choices, where)
    seen, left_out = _observe(source, choices)
    guesses: dict[str, Guess[Any]] = {}
    guesser = Guesser(where=where, columns=seen)
    guesses["label"] = guesser.label(choices.label)
    label: Observed = guesses["label"].value
    guesses["positive"] = guesser.positive(label, choices.positive)
    notes = [*source.notes, *(f"{column.name}: {column.changed}" for column in seen if column.changed)]
    seen, guesses["event time"] = _with_event_time(seen, guesser, choices, where, today, notes)
    guesser = replace(guesser, columns=seen)
    seen, guesses["key"] = _with_key(seen, guesser, guesses["event time"].value, label, choices, where, notes)
    contract = _contract(seen, label, guesses["key"].value, guesses["event time"].value.name)
    features, no_features = _features(seen, contract, guesses, choices)
    if not features:
        reasons = {one.name: one.reason for one in no_features}
        raise ConfigurationError(where=where, field="features", expected="a column to predict from", came=reasons)
    surface = Surface(
        name=choices.name,
        owner=choices.owner,
        label=label.name,
        positive=guesses["positive"].value,
        key=guesses["key"].value,
        event_time=guesses["event time"].value.name,
        features=features,
    )
    return _judged(source, surface, contract, seen, guesses, (*left_out, *_named(choices)), no_features, notes)


def _check(source: Source, choices: Choices, where: str) -> None:
    for field_, expected, came, good in (
        ("NAME", "2 to 24 small letters, digits and _, a letter first", choices.name, NAME.match(choices.name)),
        ("--kind", f"one of {KINDS}", choices.kind, choices.kind in KINDS),
        ("rows", f"{FEWEST_ROWS} labelled rows or more", source.table.num_rows, source.table.num_rows >= FEWEST_ROWS),
    ):
        if not good:
            raise ConfigurationError(where=where, field=field_, expected=expected, came=came)
    if unknown := sorted({*choices.leave_out} - {*source.table.column_names}):
        expected = f"columns of the file ({', '.join(source.table.column_names)})"
        raise ConfigurationError(where=where, field="--leave-out", expected=expected, came=unknown)


def _observe(source: Source, choices: Choices) -> tuple[tuple[Observed, ...], tuple[LeftOut, ...]]:
    found = [
        observe(
            name,
            source.table[name],
            typed_text=source.has_typed_text,
            time_format=choices.time_format if choices.event_time in ("", name) else "",
        )
        for name in source.table.column_names
        if name not in choices.leave_out
    ]
    return tuple(one for one in found if isinstance(one, Observed)), tuple(o for o in found if isinstance(o, LeftOut))


def _named(choices: Choices) -> list[LeftOut]:
    return [LeftOut(name=name, reason="you said so") for name in choices.leave_out]


def _with_event_time(
    seen: tuple[Observed, ...], guesser: Guesser, choices: Choices, where: str, today: date, notes: list[str]
) -> tuple[tuple[Observed, ...], Guess[Observed]]:
    """The columns with a time among them."""
    guess = None if choices.has_no_event_time else guesser.event_time(choices.event_time)
    if guess is None:
        if not choices.has_no_event_time:
            unread = [f"{column.name} {column.changed}" for column in seen if "--time-format" in column.changed]
            expected = f"a column of times, or --no-event-time: the drops then get `{OBSERVED_AT}`" + "".join(
                f"; {one}" for one in unread
            )
            kinds = {column.name: column.kind for column in seen}
            raise ConfigurationError(where=where, field="event time", expected=expected, came=kinds)
        made = _spread(seen, today, where)
        notes.append(
            f"`{OBSERVED_AT}` is made up: the rows in a random order (seed 0), evenly up to {today}; validation and "
            "test are random rows then. Your next rows bring the moment when they were seen"
        )
        return (*seen, made), Guess(value=made, reason="you said that the file has none")
    column = guess.value
    if not column.is_complete:
        came = f"{column.name} without a time in {column.cells.null_count:,} rows"
        raise ConfigurationError(where=where, field="--event-time", expected="a time in each row", came=came)
    if column.kind == "date":
        midnight = replace(column, kind="timestamp", cells=column.cells.cast(arrow_type("timestamp")))
        seen = tuple(midnight if one is column else one for one in seen)
        guess = replace(guess, value=midnight)
    return seen, guess


def _spread(seen: tuple[Observed, ...], today: date, where: str) -> Observed:
    import numpy as np
    import pyarrow as pa

    _refuse_taken(seen, OBSERVED_AT, "--no-event-time", where)
    rows = len(seen[0].cells)
    days = max(8, min(MOST_DAYS, rows // ROWS_A_DAY))
    last = np.datetime64(datetime.combine(today, time()), "us")
    step = np.timedelta64(timedelta(days=days)) // rows
    moments_N = last - step * np.arange(rows, 0, -1)
    order_N = np.random.default_rng(0).permutation(rows)
    cells = pa.array(moments_N[order_N])
    return Observed(name=OBSERVED_AT, kind="timestamp", cells=cells, distinct=rows)


def _with_key(
    seen: tuple[Observed, ...],
    guesser: Guesser,
    event_time: Observed,
    label: Observed,
    choices: Choices,
    where: str,
    notes: list[str],
) -> tuple[tuple[Observed, ...], Guess[tuple[str, ...]]]:
    """The columns with a key among them."""
    import pyarrow as pa

    is_made = choices.has_no_event_time and event_time.name == OBSERVED_AT
    if not choices.has_no_key:
        # A generated time does not identify rows.
        columns = tuple(one for one in seen if not (is_made and one is event_time))
        guess = replace(guesser, columns=columns).key(choices.key, None if is_made else event_time, label)
        if guess is not None:
            return seen, guess
        expected = f"--key with columns that tell rows apart, or --no-key: the drops then get `{ROW_ID}`"
        raise ConfigurationError(where=where, field="key", expected=expected, came=_nearest(columns, label))
    _refuse_taken(seen, ROW_ID, "--no-key", where)
    rows = len(seen[0].cells)
    notes.append(
        f"`{ROW_ID}` numbers the rows as they stand in the file; your next rows go on with numbers of their own"
    )
    made = Observed(name=ROW_ID, kind="int64", cells=pa.array(range(1, rows + 1), pa.int64()), distinct=rows)
    return (*seen, made), Guess(value=(ROW_ID,), reason="you said that the file has none")


def _nearest(columns: Sequence[Observed], label: Observed) -> str:
    """The columns that come nearest to telling all rows apart."""
    fit = [c for c in columns if c is not label and c.kind not in ("float64", "boolean") and c.distinct]
    best = sorted(fit, key=lambda column: -column.distinct)[:4]
    counts = [f"{column.name} ({column.distinct:,} values)" for column in best]
    if len(best) > 1:
        texts = key_texts([column.cells for column in best if column.is_complete] or [best[0].cells])
        counts.append(f"all of them together ({len(texts.unique()):,} values)")
    return f"{len(columns[0].cells):,} rows: {', '.join(counts)}"


def _refuse_taken(seen: tuple[Observed, ...], name: str, option: str, where: str) -> None:
    if name in [column.name.lower() for column in seen]:
        expected = f"no column `{name}`, which this option makes (rename it)"
        raise ConfigurationError(where=where, field=option, expected=expected, came=name)


def _contract(seen: tuple[Observed, ...], label: Observed, key: tuple[str, ...], event_time: str) -> Table:
    always = {*key, event_time}
    columns = []
    for observed in seen:
        column = label_of(observed) if observed.name == label.name else column_of(observed)
        columns.append(replace(column, required=True) if observed.name in always else column)
    return Table(name="rows", columns=tuple(columns), keys=(key,))


def _features(
    seen: tuple[Observed, ...], contract: Table, guesses: dict[str, Guess[Any]], choices: Choices
) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
    taken = {guesses["label"].value.name, guesses["event time"].value.name}
    features, others = [], []
    for observed in seen:
        if observed.name in taken:
            continue
        made = (observed.name == OBSERVED_AT and choices.has_no_event_time) or (
            observed.name == ROW_ID and choices.has_no_key
        )
        if reason := "" if made else why_no_feature(contract.column(observed.name), observed):
            others.append(LeftOut(name=observed.name, reason=reason))
        elif not made:
            features.append(observed.name)
    return tuple(features), tuple(others)


def _judged(
    source: Source,
    surface: Surface,
    contract: Table,
    seen: tuple[Observed, ...],
    guesses: dict[str, Guess[Any]],
    left_out: tuple[LeftOut, ...],
    no_features: tuple[LeftOut, ...],
    notes: list[str],
) -> Proposal:
    """The proposal with the result of validating the file's own rows."""
    import pyarrow as pa

    from millrace.datasets.read import times

    rows = pa.Table.from_arrays([column.cells for column in seen], schema=arrow_schema(contract))
    verdict = validate(rows.append_column(LINE, pa.array(range(1, rows.num_rows + 1), pa.int64())), contract)
    ascending = [(name, "ascending") for name in dict.fromkeys([surface.event_time, *surface.key])]
    accepted = verdict.accepted.sort_by(ascending)
    where = source.path.name
    if accepted.num_rows < FEWEST_ROWS:
        expected = f"{FEWEST_ROWS} rows that keep the contract"
        came = f"{accepted.num_rows} of {rows.num_rows}; the first that does not: {verdict.refused[0].detail}"
        raise ConfigurationError(where=where, field="rows", expected=expected, came=came)
    times_N = times(accepted, surface.event_time)
    spans = find_spans(times_N, where=where)
    entity = [accepted[name].to_pylist() for name in surface.key if name != surface.event_time]
    entities = list(zip(*entity, strict=True)) if entity else [()] * accepted.num_rows
    naive = find_naive(times_N, entities, accepted[surface.label].to_pylist(), spans)
    return Proposal(
        surface=surface,
        contract=contract,
        guesses=guesses,
        not_in_contract=left_out,
        no_features=no_features,
        notes=tuple(notes),
        spans=spans,
        naive=naive,
        accepted=accepted,
        refused=verdict.refused,
        contract_yaml=contract_document(surface, contract, source=where, rows_seen=rows.num_rows),
        workload_yaml=workload_document(surface, spans, naive, source=where, first_rows=accepted.num_rows),
    )
