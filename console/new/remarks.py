"""Says what is conspicuous in the rows, in a sentence each. Nothing in the rows is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.console.new.columns import Observed
from millrace.console.new.contract import column_of
from millrace.console.new.duplicates import equal_rows
from millrace.console.new.numbers import all_far_values, far_values, few_below_zero, odd_zeros
from millrace.console.new.spans import RARE
from millrace.console.new.times import far_times
from millrace.console.new.words import counted, share_of

FEW_OF_A_CLASS = 50
"""A class of fewer rows is reported."""
MOST_SPELLED = 200
"""Most different values of a column in which spellings are compared."""
SHOWN = 5
FEWEST_VALUES = 20
"""A column of fewer different numbers moves in steps, and each of its steps lasts."""
FEWEST_ROWS = 24
"""A run of fewer rows is never unusual."""
USUAL = 0.9
"""The usual length: this share of the other rows lies in runs of equal numbers of at most that length."""
LONGER = 4
"""A run is unusual if it is at least 4 times as long as the usual length."""
RESTING = 0.05
"""A number of at least this share of the other rows is one at which the column rests, however long.

In a column without negative numbers 0 is such a number, too: heating in summer."""


def findings(
    seen: Sequence[Observed],
    label: Observed,
    rows: pa.Table,
    times_N: npt.NDArray[np.datetime64] | None,
    key: Sequence[str],
    *,
    horizon_hours: float = 0,
    is_class: bool = True,
) -> list[str]:
    """Sentences on the label, on columns, on repeated rows and images, and on gaps in the times.

    `times_N` are the event times of labelled rows, None if they have none. `horizon_hours` is how far ahead of a row
    its label lies, and `is_class` says that it is a class."""
    lines = [*_of_label(label, horizon_hours, is_class=is_class)]
    for column in seen:
        lines += of_column(column)
    lines += equal_rows(rows, key)
    lines += _repeated_images(rows, label.name, key)
    if times_N is not None:
        lines += _gaps(times_N)
    return lines


def _first(words: Sequence[str], between: str = ", ") -> str:
    """The first SHOWN words, and "…" for more of them."""
    return between.join(words[:SHOWN]) + "…" * (len(words) > SHOWN)


def _numbers(values: Iterable[float]) -> str:
    return _first([f"{value:g}" for value in values])


def _of_label(label: Observed, horizon_hours: float, *, is_class: bool) -> Iterator[str]:
    if label.empty and horizon_hours:
        held = "1 row holds" if label.empty == 1 else f"{label.empty:,} rows hold"
        yield (
            f"{held} no {label.name}: kept and predicted from, as contract.yaml does not require it, with a past that "
            f"lacks it; rows {horizon_hours:g} hours before them have no label, and no model learns from those"
        )
    elif label.empty:
        without = "1 row has" if label.empty == 1 else f"{label.empty:,} rows have"
        yield (
            f"{without} no label: quarantined; with `required: false` on {label.name} in contract.yaml they are kept, "
            "and learnt from once their label comes"
        )
    if not is_class:
        return
    values = counted(label.cells)
    rows = sum(count for _, count in values)
    (most, many), (least, few) = values[0], values[-1]
    if len(values) == 2 and few < RARE * rows:
        said = f"{many / rows:.1%} of the rows are {most!r}: a model that never says {least!r} is right as often"
        yield f"{said}; of two classes `threshold` in workload.yaml moves the answer"
    rare = [f"{value!r} ({count})" for value, count in values if count < FEW_OF_A_CLASS]
    if rare:
        yield f"few rows of the class {_first(rare)}: hardly anything can be learnt of it"


def empty_cells(seen: Sequence[Observed]) -> Iterator[str]:
    """A sentence on the columns that have empty cells, the one with most of them first."""
    some = sorted((column for column in seen if column.empty), key=lambda column: -column.empty)
    if some:
        shown = [f"{column.name} {share_of(column.empty, len(column.cells))}" for column in some[:SHOWN]]
        more = [f"{len(some) - SHOWN} more columns"] * (len(some) > SHOWN)
        yield f"empty cells, which are missing: {', '.join([*shown, *more])}"


def of_column(column: Observed) -> Iterator[str]:
    # Few far numbers are left out of the range; more of them stay in it, and are only reported.
    # The range of a share is 0 to 1, whatever lies far in it.
    rules = column_of(column).rules if column.is_number else ()
    if far := [value for value in far_values(column) if any(list(rule.of_cell(value)) for rule in rules)]:
        shown = _numbers(dict.fromkeys(far))
        yield f"{column.name}: far from all other values, left out of the range and so quarantined: {shown}"
    elif far := all_far_values(column):
        shown = _numbers(dict.fromkeys(far))
        yield (
            f"{column.name}: {len(far):,} cells are far from all other values and stay in the range: {shown}; do they "
            "mean missing (`missingValues` in contract.yaml), or another unit (a range without them quarantines their "
            "rows)?"
        )
    if below := few_below_zero(column):
        shown = _numbers(dict.fromkeys(below))
        cells = "1 cell is" if len(below) == 1 else f"{len(below):,} cells are"
        yield (
            f"{column.name}: {cells} below 0, all others are not: {shown}; the range takes such numbers: a minimum of "
            "0 in contract.yaml would quarantine their rows, `missingValues` take them as missing"
        )
    if said := odd_zeros(column):
        yield f"{column.name}: {said}"
    if far := far_times(column.cells):
        shown = _first([f"{value} ({many:,})" if many > 1 else f"{value}" for value, many in far])
        yield (
            f"{column.name}: far from all other times: {shown}; if they mean missing, `missingValues` of the column in "
            "contract.yaml says so, with `required: false`"
        )


def spellings(seen: Sequence[Observed]) -> Iterator[str]:
    """A sentence on each column with words that differ only in capitals and spaces."""
    for column in seen:
        if column.kind != "string" or column.distinct > MOST_SPELLED:
            continue
        alike: dict[str, list[str]] = {}
        for value, rows in counted(column.cells):
            alike.setdefault(" ".join(value.lower().split()), []).append(f"{value!r} ({rows:,})")
        several = [" and ".join(words) for words in alike.values() if len(words) > 1]
        if several:
            yield (
                f"{column.name}: values that differ in capitals or spaces alone are different: {_first(several, '; ')}"
            )


def _repeated_images(rows: pa.Table, label: str, key: Sequence[str]) -> Iterator[str]:
    """Sentences on images that come more than once, byte for byte: with different labels, then with the same."""

    for image in (name for name in rows.column_names if pa.types.is_binary(rows[name].type)):
        names = [" ".join(map(str, row.values())) for row in rows.select(list(key)).to_pylist()]
        same: dict[bytes, list[int]] = {}
        for at, cell in enumerate(rows[image]):
            if cell.is_valid:
                same.setdefault(sha256(cell.as_buffer()).digest(), []).append(at)
        labels = rows[label].to_pylist()
        # Groups of equal images whose labels differ. Each other repeat is a plain one.
        apart = [places for places in same.values() if len({labels[at] for at in places}) > 1]
        if apart:
            pairs = [" and ".join(f"{names[at]} ({labels[at]!r})" for at in places[:SHOWN]) for places in apart]
            shown = _first(pairs, "; ")
            yield f"{image}: the same image with different labels, {len(apart):,}×: {shown}: no model is right on both"
        if more := sum(map(len, same.values())) - len(same) - sum(len(places) - 1 for places in apart):
            repeat = "1 image repeats" if more == 1 else f"{more:,} images repeat"
            yield f"{image}: {repeat} another one of the same label: the same image may train and test"


def _gaps(times_N: npt.NDArray[np.datetime64]) -> Iterator[str]:
    """A sentence on gaps: neighbouring days with rows that lie much further apart than the median of all."""

    # `_D` has one element for each day with rows. A gap is longer than three usual distances, and than a usual one and
    # two days.
    days_D = np.unique(times_N.astype("datetime64[D]"))
    apart_D = np.diff(days_D).astype(int)
    usual = int(np.median(apart_D)) if len(apart_D) else 1
    long = np.flatnonzero(apart_D > max(3 * usual, usual + 2))
    if len(long):
        worst = int(long[apart_D[long].argmax()])
        gaps: Any = "1 gap" if len(long) == 1 else f"{len(long)} gaps"
        yield (
            f"{gaps} in the times of labelled rows, the longest from {days_D[worst]} to {days_D[worst + 1]}: "
            "a window (the days that the monitors judge together) or a step of the walk forward (a model of the days "
            "before, to see how its error moves) without rows is skipped"
        )


def standing_still(
    rows: pa.Table, columns: Sequence[str], *, key: Sequence[str], event_time: str, series: int
) -> Iterator[str]:
    """A sentence on each of these columns of numbers that stands still, with the longest time in which it does.

    `series` is the number of entities in the rows."""

    from millrace.features.as_of import entity_times

    entity = [name for name in key if name != event_time]
    [found] = entity_times([rows], entity=entity, event_time=event_time)
    order_N = np.lexsort((found.time_N, found.entity_N))
    for name in columns:
        all_N = rows[name].to_numpy().astype(np.float64)[order_N]
        # A missing number ends no run: a sensor that stands still may fail now and then.
        known_N = ~np.isnan(all_N)
        values_N, places_N = all_N[known_N], order_N[known_N]
        long = _unusual_runs(values_N, found.entity_N[places_N])
        if not long:
            continue
        start, count = max(long, key=lambda run: run[1])
        first, last = (rows[event_time][int(places_N[at])].as_py() for at in (start, start + count - 1))
        whose = ", ".join(f"{part} {rows[part][int(places_N[start])].as_py()}" for part in entity) if series > 1 else ""
        more = len(long) - 1
        others = f", and {more} more such {'time' if more == 1 else 'times'}" if more else ""
        yield (
            f"{name}: {values_N[start]:g} in {count:,} rows in a row{f' of {whose}' if whose else ''}, from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}{others}: did the sensor stand still?"
        )


def _unusual_runs(values_N: npt.NDArray[np.float64], entity_N: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Start and length of each run of equal numbers that is unusually long. No number may be NaN."""

    if not len(values_N):
        return []
    # A run ends where the number or the entity changes. `_R` has one element for each run.
    changes_N = (values_N[1:] != values_N[:-1]) | (entity_N[1:] != entity_N[:-1])
    starts_R = np.concatenate([[0], np.flatnonzero(changes_N) + 1])
    lengths_R = np.diff([*starts_R, len(values_N)])
    if len(np.unique(values_N[starts_R])) < FEWEST_VALUES:
        return []
    # The usual length without the longest run, which would count as usual itself. Each run is repeated by its length,
    # so the quantile is one of rows and not of runs.
    longest = int(lengths_R.argmax())
    others_R = np.delete(lengths_R, longest)
    usual = float(np.quantile(np.repeat(others_R, others_R), USUAL))
    found = []
    for run in np.flatnonzero(lengths_R >= max(FEWEST_ROWS, LONGER * usual)):
        same_R = values_N[starts_R] == values_N[starts_R[run]]
        resting = int(lengths_R[same_R].sum() - lengths_R[run])
        rests_at_zero = values_N[starts_R[run]] == 0 <= values_N[starts_R].min()
        if not rests_at_zero and resting < RESTING * int(lengths_R.sum() - lengths_R[run]):
            found.append((int(starts_R[run]), int(lengths_R[run])))
    return found
