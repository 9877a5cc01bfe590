"""Proposes columns of what is known of the predicted moment: promotions, holidays, plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from millrace.console.new.features import Features
from millrace.console.new.reading import Reading
from millrace.console.new.words import words_of_name
from millrace.contract.ahead import Ahead
from millrace.contract.kinds import arrow_type
from millrace.contract.schema import Column
from millrace.errors import ConfigurationError
from millrace.features.known_ahead import KnownAhead

WORDS = {
    "promo", "promos", "promotion", "promotions", "holiday", "holidays", "campaign", "campaigns", "feiertag", "aktion",
}  # fmt: skip
"""Words in the names of columns that people know of the days to come."""
MOST_HORIZONS = 8
"""Each of up to 8 horizons has a column of its own for what is known; of more horizons the farthest alone."""


def with_known(reading: Reading, features: Features, horizons: Sequence[float]) -> tuple[Reading, Features]:
    """The reading and the features with a column for each known column and horizon (hours), if there is a horizon.

    Raises ConfigurationError for a column of `--known` that is the label, the event time or in the key."""
    own = {*reading.key, reading.event_time, reading.label.name}
    if wrong := sorted(own & {*reading.choices.known}):
        expected = "columns beside the label and the key"
        raise ConfigurationError(where=reading.where, field="--known", expected=expected, came=wrong)
    table = reading.contract
    named = [name for name in features.columns if WORDS & {*words_of_name(name)} and name not in own]
    columns = [
        _ahead(table.column(name), hours)
        for name in dict.fromkeys((*reading.choices.known, *named))
        for hours in (horizons if len(horizons) <= MOST_HORIZONS else horizons[-1:])
    ]
    if not columns:
        return reading, features
    contract = replace(table, columns=(*table.columns, *columns))
    notes = tuple(
        f"{one.name} is {one.ahead.column} {one.ahead.hours:g} hours later: a request and a row to score must bring it "
        f"(a file may hold the later row instead); --leave-out {one.ahead.column} is without"
        for one in columns
        if one.ahead
    )
    return (
        replace(reading, contract=contract, notes=(*reading.notes, *notes)),
        replace(features, columns=(*features.columns, *(one.name for one in columns))),
    )


def filled(reading: Reading, rows: pa.Table) -> pa.Table:
    """The rows with the known columns, as training has them: from the later rows."""
    ahead = KnownAhead.of(reading.contract, reading)
    for column in ahead.columns:
        if column.name not in rows.column_names:
            rows = rows.append_column(column.name, pa.nulls(rows.num_rows, arrow_type(column.kind)))
    return ahead.fill(rows, rows)


def _ahead(column: Column, hours: float) -> Column:
    name = f"{column.name}_in_{hours:g}h".replace(".", "_")
    ahead = Ahead(column=column.name, hours=hours)
    return replace(column, name=name, physical_name=None, required=False, is_protected=False, ahead=ahead)
