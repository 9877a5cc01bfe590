"""Finds event time and key of the rows: columns of the file, or columns that the system generates as rows come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time

from console.new.choices import Choices
from console.new.counts import repeated_rows
from console.new.daylight import looks_like_local_time
from console.new.guesses import Guess, Guesser, key_texts, repeated_cells
from console.new.observed import Observed, few_rows
from millrace.contract.kinds import arrow_type
from millrace.errors import ConfigurationError

OBSERVED_AT, ROW_ID = "observed_at", "row_id"
"""Names of the columns that the contract generates for a file without a time and for one without a key."""
MOST_REPEATED = 0.2
"""Share of the rows that may repeat a cell, so that its column is still offered as a key."""


def with_event_time(
    seen: tuple[Observed, ...],
    guesser: Guesser,
    label: Observed,
    choices: Choices,
    where: str,
    today: date,
    notes: list[str],
) -> tuple[tuple[Observed, ...], Guess[Observed]]:
    """The columns with the event time among them, and the guess of it; appends remarks to `notes`.

    A generated time is one more column, and dates become timestamps at midnight. Raises ConfigurationError if the file
    has no time and no option says so, or if the chosen column lacks the time of too many rows."""
    import pyarrow as pa

    # Three cases: an option generates the time, a column of the file has it, or there is none and that is an error.
    is_made = choices.has_no_event_time or choices.is_in_order
    guess = None if is_made else guesser.event_time(choices.event_time)
    if guess is None:
        if not is_made:
            unread = [f"{column.name} {column.changed}" for column in seen if column.may_be_time]
            expected = (
                f"a column of times, or --rows-in-order (the first row is the oldest), or --no-event-time: the "
                f"contract generates `{OBSERVED_AT}`" + "".join(f"; {one}" for one in unread)
            )
            expected += _key_too(guesser, label, choices)
            kinds = {column.name: column.kind for column in seen}
            raise ConfigurationError(where=where, field="event time", expected=expected, came=kinds)
        option = "--rows-in-order" if choices.is_in_order else "--no-event-time"
        _refuse_taken(seen, OBSERVED_AT, option, where)
        notes.append(_generated(in_order=choices.is_in_order))
        cells = pa.repeat(pa.scalar(datetime.combine(today, time()), arrow_type("timestamp")), len(seen[0].cells))
        made = Observed(name=OBSERVED_AT, kind="timestamp", cells=cells, distinct=1)
        reason = "you said that the rows are in the order of time" if choices.is_in_order else "you said so"
        return (*seen, made), Guess(value=made, reason=reason)
    # The file has times: check that they are complete, and remark on what is odd about them.
    column = guess.value
    if not column.is_nearly_complete:
        came = f"{column.name} without a time in {column.cells.null_count - column.misfits:,} rows"
        raise ConfigurationError(where=where, field="--event-time", expected="a time in each row", came=came)
    if missing := column.cells.null_count - column.misfits:
        notes.append(f"{column.name}: {few_rows(missing)}")
    if said := looks_like_local_time(column):
        notes.append(f"{column.name}: {said}")
    # A date as the event time becomes the midnight at which it begins.
    if column.kind == "date":
        midnight = replace(column, kind="timestamp", cells=column.cells.cast(arrow_type("timestamp")))
        seen = tuple(midnight if one is column else one for one in seen)
        guess = replace(guess, value=midnight)
    return seen, guess


def _key_too(guesser: Guesser, label: Observed, choices: Choices) -> str:
    """What else is missing, as the end of an error about the event time; "" if the key is found.

    So the error names both options at once."""
    try:
        is_found = choices.has_no_key or guesser.key(choices.key, None, label) is not None
    except ConfigurationError as error:
        return f"; and {error.expected}"
    return "" if is_found else f"; and {_key_wanted(guesser.columns, label)}"


def _key_wanted(columns: Sequence[Observed], label: Observed) -> str:
    """The options that help if no columns tell the rows apart. It offers the column that repeats in fewest rows."""
    fit = [one for one in columns if one is not label and one.is_nearly_complete and one.may_identify]
    rows, name = min(((repeated_cells(one), one.name) for one in fit if not one.is_sentences), default=(0, ""))
    seldom = name and rows <= MOST_REPEATED * len(columns[0].cells)
    offered = f", such as {name} (the {rows:,} rows that repeat an earlier one's will be quarantined)" if seldom else ""
    return f"--key with columns that tell rows apart{offered}, or --no-key: the contract generates `{ROW_ID}`"


def _generated(*, in_order: bool) -> str:
    if in_order:
        return (
            f"`{OBSERVED_AT}` is generated: the time when a file is dropped, and a microsecond for each line, so that "
            "rows keep their order; the last rows validate and test"
        )
    return (
        f"`{OBSERVED_AT}` is generated: the time when a file is dropped, or of the request; validation and test are "
        "random rows then, which is optimistic where later rows differ (--rows-in-order, where the first row is the "
        "oldest)"
    )


def with_key(
    seen: tuple[Observed, ...],
    guesser: Guesser,
    event_time: Observed,
    label: Observed,
    choices: Choices,
    where: str,
    notes: list[str],
) -> tuple[tuple[Observed, ...], Guess[tuple[str, ...]]]:
    """The columns with the key among them, and the guess of it; appends remarks to `notes`.

    Raises ConfigurationError if no key is found, or if `--no-key` does not fit a label that lies hours ahead."""
    import pyarrow as pa

    is_made = event_time.name == OBSERVED_AT and (choices.has_no_event_time or choices.is_in_order)
    if not choices.has_no_key:
        # A generated time says when a row was dropped, and does not identify it.
        columns = tuple(one for one in seen if not (is_made and one is event_time))
        try:
            return seen, _found_key(replace(guesser, columns=columns), None if is_made else event_time, label, choices)
        except ConfigurationError as error:
            raise _with_local_time(error, event_time) from None
    if choices.horizon_hours > 0:
        came = "--horizon-hours, which finds a row's past and what lies ahead of it by its time"
        raise ConfigurationError(where=where, field="--no-key", expected=_in_time(event_time.name), came=came)
    _refuse_taken(seen, ROW_ID, "--no-key", where)
    # `--no-key`: the system will generate ids. Here the numbers of the rows stand for them.
    rows = len(seen[0].cells)
    notes.append(
        f"`{ROW_ID}` is generated: of the file's digest and the line, or the prediction's id, by which labels find it"
    )
    made = Observed(name=ROW_ID, kind="string", cells=pa.array(map(str, range(rows)), pa.string()), distinct=rows)
    return (*seen, made), Guess(value=(ROW_ID,), reason="you said that the file has none")


def _found_key(
    guesser: Guesser, event_time: Observed | None, label: Observed, choices: Choices
) -> Guess[tuple[str, ...]]:
    guess = guesser.key(choices.key, event_time, label, looks_around=choices.horizon_hours > 0)
    if guess is not None:
        return guess
    expected = _key_wanted(guesser.columns, label)
    if choices.horizon_hours > 0:
        expected = _in_time(event_time.name if event_time else "the event time")
    raise ConfigurationError(where=guesser.where, field="key", expected=expected, came=_nearest(guesser.columns, label))


def _in_time(event_time: str) -> str:
    return f"--key {event_time}, with --key and another column before it where several rows have one time"


def _with_local_time(error: ConfigurationError, event_time: Observed) -> ConfigurationError:
    """The error with the remark on daylight saving, if there is one: an hour that comes twice keeps times from being
    a key."""
    if not (said := looks_like_local_time(event_time)):
        return error
    expected = f"{error.expected}; {event_time.name}: {said}"
    return ConfigurationError(where=error.where, field=error.field, expected=expected, came=error.came)


def _nearest(columns: Sequence[Observed], label: Observed) -> str:
    """The four columns with most values, in words, and how many rows they tell apart together."""
    # Columns with the most different values, and all of these together.
    fit = [c for c in columns if c is not label and c.may_identify and c.distinct]
    best = sorted(fit, key=lambda column: -column.distinct)[:4]
    counts = [f"{column.name} ({column.distinct:,} values)" for column in best]
    if len(best) > 1:
        texts = key_texts([column.cells for column in best if column.is_complete] or [best[0].cells])
        counts.append(f"all of them together ({len(texts.unique()):,} values)")
    rows, repeated = len(columns[0].cells), repeated_rows([column.cells for column in columns])
    same = f"; {repeated:,} rows repeat another one in every column, so no columns tell these apart" if repeated else ""
    return f"{rows:,} rows: {', '.join(counts)}{same}"


def _refuse_taken(seen: tuple[Observed, ...], name: str, option: str, where: str) -> None:
    if name in [column.name.lower() for column in seen]:
        expected = f"no column `{name}`, which this option makes (rename it)"
        raise ConfigurationError(where=where, field=option, expected=expected, came=name)
