"""Reads columns off the file, guesses label, event time and key from them, and makes the contract of all these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from console.image_folder import SPLIT
from console.new.choices import Choices
from console.new.counts import repeated_rows
from console.new.features import Features
from console.new.guesses import Guess, Guesser, own_classes
from console.new.identity import ROW_ID, with_event_time, with_key
from console.new.images import observe_images
from console.new.in_file import as_in_file
from console.new.kinds.catalogue import LABEL_KINDS
from console.new.observed import LeftOut, Observed, observe
from console.new.people import why_protected
from console.new.prediction import ProposedPrediction
from console.new.rules import column_of, relaxed
from console.new.source import Source
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import Column, Generated, Table
from millrace.errors import ConfigurationError

AT = "at"
"""The event time column of images that have none. It is generated: the time of the drop's object or of the request."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read off the file and guessed from it."""

    source: Source
    choices: Choices
    seen: tuple[Observed, ...]
    """The contract's columns, the generated ones included."""
    guesses: dict[str, Guess[Any]]
    """Keys: `label`, `kind`, `event time`, `key`, and `positive` if the label has two classes."""
    contract: Table
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    """Columns of the file that the contract does not have."""
    is_in_time: bool
    """Whether the rows have times of their own."""

    @property
    def where(self) -> str:
        return self.source.path.name

    @property
    def is_file_droppable(self) -> bool:
        """Whether the file itself can be dropped. Images are put into Parquet files first."""
        return self.source.path.is_file() and not any(column.find(ImageFormat) for column in self.contract.columns)

    @property
    def label(self) -> Observed:
        found: Observed = self.guesses["label"].value
        return found

    @property
    def event_time(self) -> str:
        return str(self.guesses["event time"].value.name)

    @property
    def horizon_hours(self) -> float:
        """How long after a row's time its label is known."""
        return self.choices.horizon_hours

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.guesses["key"].value)

    def without_needing(self, names: Sequence[str]) -> Reading:
        """The same reading with relaxed rules for these columns: they may be missing (see `relaxed`).

        Key, event time and label keep their rules."""
        kept = {*self.key, self.event_time, self.label.name}
        columns = tuple(
            relaxed(column) if column.name in names and column.name not in kept else column
            for column in self.contract.columns
        )
        return replace(self, contract=replace(self.contract, columns=columns))

    def prediction(self, features: Features) -> ProposedPrediction:
        choices = self.choices
        rules = [column.find(ImageFormat) for column in self.contract.columns if column.name in features.columns]
        return ProposedPrediction(
            name=choices.name,
            owner=choices.owner,
            task=self.guesses["kind"].value,
            label=self.label.name,
            positive=self.guesses["positive"].value if "positive" in self.guesses else None,
            settings=LABEL_KINDS[self.guesses["kind"].value].settings(self.label),
            horizon_hours=choices.horizon_hours,
            key=self.key,
            event_time=self.event_time,
            features=features.columns,
            texts=features.texts,
            derived=features.derived,
            split_column=SPLIT if not self.is_in_time and SPLIT in self.contract.names else "",
            is_in_time=self.is_in_time,
            is_in_order=choices.is_in_order,
            image_side=min((min(rule.shape[1:]) for rule in rules if rule), default=0),
        )


def read(source: Source, choices: Choices, today: date) -> Reading:
    """The reading of the file. Raises ConfigurationError if something cannot be decided."""
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
    # Three cases: rows with times of their own; rows for which an option generates the time; images without times.
    is_generated = choices.has_no_event_time or choices.is_in_order
    is_in_time = not is_generated and (not images or bool(guesser.event_time(choices.event_time)))
    if is_in_time or is_generated:
        seen, guesses["event time"] = with_event_time(seen, guesser, label, choices, where, today, notes)
    else:
        seen, guesses["event time"] = _with_generated_time(seen, today)
    # The key may hold the event time that was generated or changed a line above, so the guesser needs the new columns.
    guesser = replace(guesser, columns=seen)
    seen, guesses["key"] = with_key(seen, guesser, guesses["event time"].value, label, choices, where, notes)
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


def _observe(source: Source, choices: Choices) -> tuple[tuple[Observed, ...], dict[str, Column], tuple[LeftOut, ...]]:
    """The observed columns, the contract's columns of images by name, and the columns that the contract will not have.

    Raises ConfigurationError if `--time-format` reads no column, or if images have many sizes."""
    import pyarrow as pa

    seen: list[Observed] = []
    images: dict[str, Column] = {}
    left_out: list[LeftOut] = []
    for name in source.table.column_names:
        cells = source.table[name]
        if name in choices.leave_out:
            continue
        # Binary cells may be images, which come with their rule. Other columns get their rules later, in `_contract`.
        found: Observed | LeftOut | tuple[Observed, Column]
        if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
            found = observe_images(name, cells, size=choices.size, where=source.path.name)
        else:
            # `--time-format` is meant for the column of `--event-time`; without that for any column that it reads.
            time_format = choices.time_format if choices.event_time in ("", name) else ""
            is_time = bool(choices.event_time) and choices.event_time == name
            found = observe(
                name,
                cells,
                typed_text=source.has_typed_text,
                time_format=time_format,
                is_time=is_time,
                form=source.csv,
                classes=own_classes(name, cells, choices.label),
            )
        if isinstance(found, tuple):
            observed, images[name] = found
            seen.append(observed)
        elif isinstance(found, LeftOut):
            left_out.append(found)
        else:
            seen.append(found)
    _check_time_format(choices, seen, source.path.name)
    repeats = repeated_rows([one.cells for one in seen]) if _may_repeat(seen) else 0
    return tuple(replace(one, repeats=repeats) for one in seen), images, tuple(left_out)


def _may_repeat(seen: Sequence[Observed]) -> bool:
    """Whether a column tells most rows apart, but not all. Only then is the table searched for rows that come twice."""
    return any(2 * one.distinct >= len(one.cells) and not one.is_unique for one in seen)


def _once_by_key(seen: Sequence[Observed], key: Sequence[str]) -> tuple[Observed, ...]:
    """The columns. If one column is the key by itself, all of its repeated cells count as repeated rows.

    Such a column tells rows apart, however often the file repeats a row."""
    return tuple(
        replace(one, repeats=len(one.cells) - one.cells.null_count - one.distinct) if (one.name,) == tuple(key) else one
        for one in seen
    )


def _check_time_format(choices: Choices, seen: Sequence[Observed], where: str) -> None:
    """Raises ConfigurationError if `--time-format` reads no column and no `--event-time` names the one to read."""
    if not choices.time_format or choices.event_time:
        return
    if not any(one.time_format and one.time_format.pattern == choices.time_format for one in seen):
        said = "".join(f"; {one.name}: {one.changed}" for one in seen if one.changed)
        expected = f"a column of times that are written so, or --event-time with the one to read so{said}"
        raise ConfigurationError(where=where, field="--time-format", expected=expected, came=choices.time_format)


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
    # A column's rules depend on what it is: the label, images, a generated time or id, or any other column.
    key, event_time, label = guesses["key"].value, guesses["event time"].value.name, guesses["label"].value
    columns = []
    for observed in seen:
        if observed.name == label.name:
            column = LABEL_KINDS[guesses["kind"].value].column(observed, choices.unit)
            # The label of a later row is predicted, so the label of this row is an input and may be missing.
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
