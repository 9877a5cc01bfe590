"""Reads columns off the file, finds label, event time and key, and makes the contract of all these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.console.image_folder import LABEL
from millrace.console.new.columns import LeftOut, Profile, few_rows, observe
from millrace.console.new.contract import as_in_file, column_of, observe_images, relaxed
from millrace.console.new.event_times import find_event_time
from millrace.console.new.keys import repeated_cells
from millrace.console.new.kinds import LABEL_KINDS, LabelKind, own_classes, two_classes
from millrace.console.new.read import Source
from millrace.console.new.roles import MOST_REPEATED, Choices, Guess, Guesser, one_of_several, several_labels
from millrace.console.new.shared_cells import part_cells
from millrace.console.new.spans import FIRST_SHARE
from millrace.console.new.times import looks_like_local_time, times_of_day
from millrace.console.new.words import once, repeated_rows, why_protected
from millrace.contract.kinds import arrow_type
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import Column, Generated, Table
from millrace.errors import ConfigurationError

AT = "at"
"""The event time column of images that have none. It is generated: the time of the drop's object or of the request."""
OBSERVED_AT, ROW_ID = "observed_at", "row_id"
"""Names of the columns that the contract generates for a file without a time and for one without a key."""
IN_ORDER = (
    "the time when a file is dropped, and a microsecond for each line, so that rows keep their order; the last rows "
    "validate and test"
)
AT_RANDOM = (
    "the time when a file is dropped, or of the request; without an entity (--group) or an order (--rows-in-order, "
    "where the first row is the oldest) validation and test are random rows: optimistic where later rows differ"
)
"""What a generated time is, of rows in order and of others."""
FIRST_LABELS = 300
"""So many labels of people start the first training of a file without labels; of fewer rows FIRST_SHARE of them do."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read off the file and guessed from it."""

    source: Source
    choices: Choices
    seen: tuple[Profile, ...]
    """The contract's columns, the generated ones included."""
    guesses: dict[str, Guess[Any]]
    """Keys: `label`, `kind`, `event time`, `key`, and `positive` if the label has two classes."""
    contract: Table
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    """Columns of the file that the contract does not have."""
    is_in_time: bool
    """Whether the rows have times of their own."""
    group: tuple[str, ...] = ()
    """The columns that name what a row is about, by which rows are split; empty for another split."""
    pieces: int = 0
    """How many first pieces of the column's text name it; 0 for whole cells."""

    @property
    def where(self) -> str:
        return self.source.path.name

    @property
    def is_file_droppable(self) -> bool:
        """Whether the file itself or its rows as JSON lines can be dropped. Images are put into Parquet files first."""
        has_rows = bool(self.source.files or self.source.grid)
        return has_rows and not any(column.find(ImageFormat) for column in self.contract.columns)

    @property
    def label(self) -> Profile:
        found: Profile = self.guesses["label"].value
        return found

    @property
    def kind(self) -> LabelKind:
        return LABEL_KINDS[self.guesses["kind"].value]

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.choices.labels or (self.label.name,)

    def labelled(self, rows: pa.Table) -> pa.Table:
        """The rows; those of a file without labels with drawn ones, by which a training is rehearsed."""
        if not self.choices.classes:
            return rows
        at = rows.column_names.index(self.label.name)
        cells = drawn(self.label.cells.drop_null().unique().to_pylist(), rows.num_rows)
        return rows.set_column(at, rows.field(at), pa.chunked_array([pa.array(cells, rows.field(at).type)]))

    @property
    def event_time(self) -> str:
        return str(self.guesses["event time"].value.name)

    @property
    def horizon_hours(self) -> float:
        return self.choices.horizon_hours

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.guesses["key"].value)

    def without_needing(self, names: Sequence[str]) -> Reading:
        """The same reading with relaxed rules for these columns: they may be missing (see `relaxed`).

        Key, event time and label keep their rules."""
        kept = {*self.key, self.event_time, *self.label_names, *self.group}
        columns = tuple(
            relaxed(column) if column.name in names and column.name not in kept else column
            for column in self.contract.columns
        )
        return replace(self, contract=replace(self.contract, columns=columns))

    def about(self, group: tuple[str, ...], pieces: int) -> Reading:
        """The same reading, split by what these columns name: new values may come, and a row without one is alone."""
        complete = [one.name for one in self.seen if one.is_complete]
        relaxed_ = self.without_needing(group).contract
        columns = tuple(
            replace(column, required=column.required or column.name in complete) if column.name in group else column
            for column in relaxed_.columns
        )
        return replace(self, contract=replace(self.contract, columns=columns), group=group, pieces=pieces)


def drawn(classes: Sequence[Any], rows: int) -> list[Any]:
    """The labels that people may give first: each class as often, on rows drawn by chance; None of the other rows."""
    cells = [None] * rows
    labelled = min(FIRST_LABELS, int(FIRST_SHARE * rows)) // len(classes) * len(classes)
    for number, row in enumerate(np.random.default_rng(0).permutation(rows)[:labelled]):
        cells[row] = classes[number % len(classes)]
    return cells


def read(source: Source, choices: Choices, today: date) -> Reading:
    """The reading of the file. Raises ConfigurationError if something cannot be decided."""
    where = source.path.name
    source, choices = part_cells(source, choices)
    if choices.classes:
        cells = pa.array(drawn(choices.classes, source.table.num_rows), pa.string())
        source = replace(source, table=source.table.append_column(choices.label, cells))
    elif source.path.is_dir() and LABEL not in source.table.column_names:
        expected = f"images in a folder for each class ({where}/<class>/a.png), a CSV of file,label, or --classes"
        raise ConfigurationError(where=where, field="--from", expected=expected, came="images beside each other")
    seen, images, left_out = _observe(source, choices)
    seen = tuple(one_of_several(column, where) if column.name in choices.labels else column for column in seen)
    guesses: dict[str, Guess[Any]] = {}
    guesser = Guesser(where=where, columns=seen)
    guesses["label"] = guesser.label(choices.label, choices.kind)
    label: Profile = guesses["label"].value
    guesses["kind"] = several_labels(choices) if choices.labels else guesser.kind(label, choices.kind)
    if guesses["kind"].value == "binary":
        guesses["positive"] = guesser.positive(label, choices.positive)
    changes = once([(column.name, column.changed) for column in seen if column.changed])
    notes = [*source.notes, *(f"{names}: {changed}" for names, changed in changes)]
    # Three cases: rows with times of their own; rows whose time is generated; images without times.
    choices, moment, doubts = find_event_time(guesser, choices, label, has_images=bool(images))
    source = replace(source, doubts=(*source.doubts, *doubts))
    is_in_time = not choices.makes_time and (not images or moment is not None)
    if is_in_time or choices.makes_time:
        seen, guesses["event time"] = with_event_time(guesser, moment, choices, today, notes)
    else:
        # The time of the drop's object or of the request: any one moment stands for it here.
        moment = pa.scalar(datetime.combine(today, time(), UTC), arrow_type("timestamp_utc"))
        made = Profile(name=AT, kind="timestamp_utc", cells=pa.repeat(moment, len(seen[0].cells)), distinct=1)
        reason = "images have none: generated, that of the drop or of the request"
        seen, guesses["event time"] = (*seen, made), Guess(value=made, reason=reason)
    # The key may hold the event time that was generated or changed a line above, so the guesser needs the new columns.
    guesser = replace(guesser, columns=seen)
    seen, guesses["key"] = with_key(guesser, guesses["event time"].value, label, choices, notes)
    choices = replace(choices, has_no_key=ROW_ID not in source.table.column_names and ROW_ID in guesses["key"].value)
    seen = _once_by_key(seen, guesses["key"].value)
    contract = as_in_file(_contract(seen, images, guesses, choices, is_in_time=is_in_time), seen, source)
    return Reading(
        source=source,
        choices=choices,
        seen=seen,
        guesses=guesses,
        contract=contract,
        notes=tuple(notes),
        left_out=(*left_out, *(LeftOut(name=name, reason="you said so") for name in choices.leave_out)),
        is_in_time=is_in_time,
    )


def _observe(source: Source, choices: Choices) -> tuple[tuple[Profile, ...], dict[str, Column], tuple[LeftOut, ...]]:
    """The observed columns, the contract's columns of images by name, and the columns that the contract will not have.

    Raises ConfigurationError if `--time-format` reads no column."""

    seen: list[Profile] = []
    images: dict[str, Column] = {}
    left_out: list[LeftOut] = []
    for name in source.table.column_names:
        cells = source.table[name]
        if name in choices.leave_out:
            continue
        # Binary cells may be images, which come with their rule. Other columns get their rules later, in `_contract`.
        found: Profile | LeftOut | tuple[Profile, Column]
        if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
            found = observe_images(name, cells, size=choices.size)
        else:
            # `--time-format` is meant for the column of `--event-time`; without that for any column that it reads.
            time_format = choices.time_format if choices.event_time in ("", name) else ""
            is_time = bool(choices.event_time) and choices.event_time == name
            found = observe(
                name,
                cells,
                typed_text=source.has_typed_text or bool(choices.classes and name == choices.label),
                time_format=time_format,
                is_time=is_time,
                form=source.csv,
                classes=own_classes(name, cells, choices.label),
            )
        if isinstance(found, Profile) and name == choices.label and not choices.kind:
            found = two_classes(found, cells)
        if isinstance(found, tuple):
            observed, images[name] = found
            seen.append(observed)
        elif isinstance(found, LeftOut):
            left_out.append(found)
        else:
            seen.append(found)
    _check_time_format(choices, seen, source.path.name)
    # Only where a column tells most rows apart, but not all, is the table searched for rows that come twice.
    may_repeat = any(2 * one.distinct >= len(one.cells) and not one.is_unique for one in seen)
    repeats = repeated_rows([one.cells for one in seen]) if may_repeat else 0
    return tuple(replace(one, repeats=repeats) for one in seen), images, tuple(left_out)


def _once_by_key(seen: Sequence[Profile], key: Sequence[str]) -> tuple[Profile, ...]:
    """The columns. If one column is the key by itself, all of its repeated cells count as repeated rows.

    Such a column tells rows apart, however often the file repeats a row."""
    return tuple(
        replace(one, repeats=len(one.cells) - one.cells.null_count - one.distinct) if (one.name,) == tuple(key) else one
        for one in seen
    )


def _check_time_format(choices: Choices, seen: Sequence[Profile], where: str) -> None:
    """Raises ConfigurationError if `--time-format` reads no column and no `--event-time` names the one to read."""
    if not choices.time_format or choices.event_time:
        return
    if not any(one.time_format and one.time_format.pattern == choices.time_format for one in seen):
        said = "".join(f"; {one.name}: {one.changed}" for one in seen if one.changed)
        expected = f"a column of times that are written so, or --event-time with the one to read so{said}"
        raise ConfigurationError(where=where, field="--time-format", expected=expected, came=choices.time_format)


def _contract(
    seen: Sequence[Profile],
    images: dict[str, Column],
    guesses: dict[str, Guess[Any]],
    choices: Choices,
    *,
    is_in_time: bool,
) -> Table:
    # A column's rules depend on what it is: the label, images, a generated time or id, or any other column.
    key, event_time, label = guesses["key"].value, guesses["event time"].value.name, guesses["label"].value
    columns = []
    for observed in seen:
        if observed.name in (choices.labels or (label.name,)):
            column = LABEL_KINDS[guesses["kind"].value].column(observed, choices.unit)
            column = replace(column, required=not choices.classes)
            # The label of a later row is predicted, so the label of this row is an input and may be missing.
            if choices.looks_ahead:
                column = replace(column, required=observed.is_complete, is_input=True)
        elif observed.name in images:
            column = images[observed.name]
        elif observed.name == event_time and not is_in_time:
            order: Generated = "row_order" if choices.is_in_order else "event_time"
            column = Column(name=observed.name, kind=observed.kind, generated=order)
        elif observed.name == ROW_ID and choices.has_no_key:
            column = Column(name=ROW_ID, kind="string", generated="row_id")
        else:
            column = replace(column_of(observed), is_protected=bool(why_protected(observed.name, observed.cells)))
        columns.append(replace(column, required=True) if observed.name in (*key, event_time) else column)
    return Table(name="rows", columns=tuple(columns), keys=(key,))


def with_event_time(
    guesser: Guesser, guess: Guess[Profile] | None, choices: Choices, today: date, notes: list[str]
) -> tuple[tuple[Profile, ...], Guess[Profile]]:
    """The columns with the event time among them, and the guess of it; appends remarks to `notes`.

    A generated time is one more column, and dates become timestamps at midnight. Raises ConfigurationError if a label
    ahead has no times, or if the chosen column lacks the time of too many rows."""
    seen, where = guesser.columns, guesser.where
    if guess is None:
        if not choices.makes_time:
            unread = [f"{column.name} {column.changed}" for column in seen if column.may_be_time]
            expected = "; ".join(["a column of times, by which a row's past is found", *unread])
            raise ConfigurationError(where=where, field="event time", expected=expected, came="none")
        _refuse_taken(seen, OBSERVED_AT, ("--rows-in-order" if choices.is_in_order else "--no-event-time"), where)
        notes.append(f"`{OBSERVED_AT}` is generated: {IN_ORDER if choices.is_in_order else AT_RANDOM}")
        cells = pa.repeat(pa.scalar(datetime.combine(today, time()), arrow_type("timestamp")), len(seen[0].cells))
        made = Profile(name=OBSERVED_AT, kind="timestamp", cells=cells, distinct=1)
        reason = (
            "the rows are in the order of time"
            if choices.is_in_order
            else "generated: that of the drop or of the request"
        )
        return (*seen, made), Guess(value=made, reason=reason)
    # The file has times: check that they are complete, and remark on what is odd about them.
    column = guess.value
    if not column.is_nearly_complete:
        came = f"{column.name} without a time in {column.cells.null_count - column.misfits:,} rows"
        raise ConfigurationError(where=where, field="--event-time", expected="a time in each row", came=came)
    if missing := column.cells.null_count - column.misfits:
        notes.append(f"{column.name}: {few_rows(missing)}")
    if said := looks_like_local_time(column.cells):
        notes.append(f"{column.name}: {said}")
    # A date as the event time becomes the midnight at which it begins.
    if column.kind == "date":
        notes += times_of_day([one.name for one in seen if one.number_format and one.number_format.clock], column.name)
        midnight = replace(column, kind="timestamp", cells=column.cells.cast(arrow_type("timestamp")))
        seen = tuple(midnight if one is column else one for one in seen)
        guess = replace(guess, value=midnight)
    return seen, guess


def _why_generated(fit: Sequence[Profile]) -> str:
    """Why none of the columns is the key, with the option that takes the one that tells most rows apart."""
    rows, name = min(((repeated_cells(one), one.name) for one in fit), default=(0, ""))
    if name and not rows:
        return f"several columns tell the rows apart, and nothing says that one names a row (--key {name} takes one)"
    if not name or rows > MOST_REPEATED * len(fit[0].cells):
        return "no columns tell the rows apart"
    lost = f"--key {name} would quarantine the {rows:,} rows that repeat an earlier one's"
    return f"no columns tell the rows apart ({lost})"


def with_key(
    guesser: Guesser, event_time: Profile, label: Profile, choices: Choices, notes: list[str]
) -> tuple[tuple[Profile, ...], Guess[tuple[str, ...]]]:
    """The columns with the key among them, and the guess of it; appends remarks to `notes`.

    A file in which no columns tell the rows apart gets a generated one. Raises ConfigurationError if a label that lies
    hours ahead has no key that makes series of the rows."""
    seen, where = guesser.columns, guesser.where
    if not choices.has_no_key:
        # A generated time says when a row was dropped, and does not identify it.
        own_time = None if choices.makes_time else event_time
        fit = replace(guesser, columns=tuple(one for one in seen if own_time or one is not event_time))
        found = fit.key(choices.key, own_time, label, looks_around=choices.looks_ahead)
        if found is None and choices.looks_ahead and own_time:
            found = fit.nearest(own_time, label)
        if found is not None:
            return seen, found
    if choices.looks_ahead:
        expected = f"--key {event_time.name}, or --key with columns before it that make series of the rows"
        raise ConfigurationError(where=where, field="key", expected=expected, came="no key with the time of a row")
    _refuse_taken(seen, ROW_ID, "--no-key", where)
    # The system will generate ids. Here the numbers of the rows stand for them.
    rows = len(seen[0].cells)
    notes.append(
        f"`{ROW_ID}` is generated: of the file's digest and the line, or the prediction's id, by which labels find it"
    )
    made = Profile(name=ROW_ID, kind="string", cells=pa.array(map(str, range(rows)), pa.string()), distinct=rows)
    reason = "you said so" if choices.has_no_key else f"generated: {_why_generated(guesser.fit(label))}"
    return (*seen, made), Guess(value=(ROW_ID,), reason=reason)


def _refuse_taken(seen: tuple[Profile, ...], name: str, option: str, where: str) -> None:
    if name in [column.name.lower() for column in seen]:
        expected = f"no column `{name}`, which this option makes (rename it)"
        raise ConfigurationError(where=where, field=option, expected=expected, came=name)
