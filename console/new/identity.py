"""The event time and the key of the rows: columns of the file, or made up for the drops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from console.new.choices import Choices
from console.new.guesses import Guess, Guesser, key_texts
from console.new.observed import Observed
from millrace.contract.kinds import arrow_type
from millrace.errors import ConfigurationError

OBSERVED_AT, ROW_ID = "observed_at", "row_id"
"""Columns that the drops get where the file has no time, no key."""
ROWS_A_DAY = 50
MOST_DAYS = 56
"""Days over which rows without a time are spread."""


def with_event_time(
    seen: tuple[Observed, ...], guesser: Guesser, choices: Choices, where: str, today: date, notes: list[str]
) -> tuple[tuple[Observed, ...], Guess[Observed]]:
    """The columns with a time among them."""
    is_made = choices.has_no_event_time or choices.is_in_order
    guess = None if is_made else guesser.event_time(choices.event_time)
    if guess is None:
        if not is_made:
            unread = [f"{column.name} {column.changed}" for column in seen if "--time-format" in column.changed]
            expected = (
                f"a column of times, or --rows-in-order (the first row is the oldest), or --no-event-time: the drops "
                f"then get `{OBSERVED_AT}`" + "".join(f"; {one}" for one in unread)
            )
            kinds = {column.name: column.kind for column in seen}
            raise ConfigurationError(where=where, field="event time", expected=expected, came=kinds)
        made = _spread(seen, today, where, in_order=choices.is_in_order)
        notes.append(_made_up(today, in_order=choices.is_in_order))
        reason = (
            "you said that the rows are in the order of time"
            if choices.is_in_order
            else "you said that the file has none"
        )
        return (*seen, made), Guess(value=made, reason=reason)
    column = guess.value
    if not column.is_complete:
        came = f"{column.name} without a time in {column.cells.null_count:,} rows"
        raise ConfigurationError(where=where, field="--event-time", expected="a time in each row", came=came)
    if column.kind == "date":
        midnight = replace(column, kind="timestamp", cells=column.cells.cast(arrow_type("timestamp")))
        seen = tuple(midnight if one is column else one for one in seen)
        guess = replace(guess, value=midnight)
    return seen, guess


def _made_up(today: date, *, in_order: bool) -> str:
    if in_order:
        return (
            f"`{OBSERVED_AT}` is made up: the rows in their order, evenly up to {today}; the split is by that order, "
            "the last rows validate and test. Your next rows bring the moment when they were seen"
        )
    return (
        f"`{OBSERVED_AT}` is made up: the rows in a random order (seed 0), evenly up to {today}; validation and test "
        "are random rows then, which is optimistic where later rows differ (--rows-in-order, where the first row is "
        "the oldest). Your next rows bring the moment when they were seen"
    )


def _spread(seen: tuple[Observed, ...], today: date, where: str, *, in_order: bool) -> Observed:
    import numpy as np
    import pyarrow as pa

    _refuse_taken(seen, OBSERVED_AT, "--rows-in-order" if in_order else "--no-event-time", where)
    rows = len(seen[0].cells)
    days = max(8, min(MOST_DAYS, rows // ROWS_A_DAY))
    last = np.datetime64(datetime.combine(today, time()), "us")
    step = np.timedelta64(timedelta(days=days)) // rows
    moments_N = last - step * np.arange(rows, 0, -1)
    order_N = np.arange(rows) if in_order else np.random.default_rng(0).permutation(rows)
    cells = pa.array(moments_N[order_N])
    return Observed(name=OBSERVED_AT, kind="timestamp", cells=cells, distinct=rows)


def with_key(
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

    is_made = event_time.name == OBSERVED_AT and (choices.has_no_event_time or choices.is_in_order)
    if not choices.has_no_key:
        # A generated time does not identify rows.
        columns = tuple(one for one in seen if not (is_made and one is event_time))
        guess = replace(guesser, columns=columns).key(
            choices.key, None if is_made else event_time, label, looks_around=choices.horizon_hours > 0
        )
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
    fit = [c for c in columns if c is not label and c.kind not in ("float64", "boolean", "binary") and c.distinct]
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
