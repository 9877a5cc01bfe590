"""Says what is conspicuous in the rows, in a sentence each. Nothing in the rows is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from console.new.counts import counted, repeated_rows
from console.new.negatives import few_below_zero
from console.new.observed import Observed
from console.new.rules import all_far_values, far_times, far_values
from console.new.spans import RARE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FEW_OF_A_CLASS = 50
"""A class of fewer rows is reported."""
REPEATED = 0.01
"""Repeated rows are reported if they are more than this share of the rows."""
MOST_SPELLED = 200
"""Spellings are compared in columns of so many different values at most."""
ZEROS = 0.005
"""Zeros are reported from this share of the cells on, if they lie apart from all other values."""
SHOWN = 5


def findings(
    seen: Sequence[Observed],
    label: Observed,
    rows: pa.Table,
    times_N: npt.NDArray[np.datetime64] | None,
    key: Sequence[str],
    *,
    horizon_hours: float = 0,
) -> list[str]:
    """Sentences on the label, on columns, on repeated rows and images, and on gaps in the times.

    `times_N` are the event times of labelled rows, None if they have none. `horizon_hours` is how far ahead of a row
    its label lies."""
    lines = [*_of_label(label, horizon_hours)]
    for column in seen:
        lines += _of_column(column)
    lines += _repeated(rows, key)
    lines += _repeated_images(rows, label.name, key)
    if times_N is not None:
        lines += _gaps(times_N)
    return lines


def _of_label(label: Observed, horizon_hours: float) -> Iterator[str]:
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
    # What follows is about classes; a number of many values has none.
    values = counted(label.cells)
    if label.is_number and len(values) > 20:
        return
    rows = sum(count for _, count in values)
    (most, many), (least, few) = values[0], values[-1]
    if len(values) == 2 and few < RARE * rows:
        said = f"{many / rows:.1%} of the rows are {most!r}: a model that never says {least!r} is right as often"
        yield f"{said}; of two classes `threshold` in workload.yaml moves the answer"
    rare = [f"{value!r} ({count})" for value, count in values if count < FEW_OF_A_CLASS]
    if rare:
        shown = ", ".join(rare[:SHOWN]) + ("…" if len(rare) > SHOWN else "")
        yield f"few rows of the class {shown}: hardly anything can be learnt of it"


def empty_cells(seen: Sequence[Observed]) -> Iterator[str]:
    """A sentence on the columns that have empty cells, the one with most of them first."""
    some = sorted((column for column in seen if column.empty), key=lambda column: -column.empty)
    if some:
        shown = [f"{column.name} {column.empty:,} ({column.empty / len(column.cells):.1%})" for column in some[:SHOWN]]
        more = [f"{len(some) - SHOWN} more columns"] * (len(some) > SHOWN)
        yield f"empty cells, which are missing: {', '.join([*shown, *more])}"


def _of_column(column: Observed) -> Iterator[str]:
    # Few far numbers are left out of the range; more of them stay in it, and are only reported.
    if far := far_values(column):
        shown = ", ".join(f"{value:g}" for value in far[:SHOWN]) + ("…" if len(far) > SHOWN else "")
        yield f"{column.name}: far from all other values, left out of the range and so quarantined: {shown}"
    elif far := all_far_values(column):
        values = list(dict.fromkeys(far))
        shown = ", ".join(f"{value:g}" for value in values[:SHOWN]) + ("…" if len(values) > SHOWN else "")
        yield (
            f"{column.name}: {len(far):,} cells are far from all other values and stay in the range: {shown}; do they "
            "mean missing (`missingValues` in contract.yaml), or another unit (a range without them quarantines their "
            "rows)?"
        )
    if below := few_below_zero(column):
        values = list(dict.fromkeys(below))
        shown = ", ".join(f"{value:g}" for value in values[:SHOWN]) + ("…" if len(values) > SHOWN else "")
        cells = "1 cell is" if len(below) == 1 else f"{len(below):,} cells are"
        yield (
            f"{column.name}: {cells} below 0, all others are not: {shown}; the range takes such numbers: a minimum of "
            "0 in contract.yaml would quarantine their rows, `missingValues` take them as missing"
        )
    if said := _zeros(column):
        yield f"{column.name}: {said}"
    if far := far_times(column):
        counts = [f"{value} ({many:,})" if many > 1 else f"{value}" for value, many in far[:SHOWN]]
        shown = ", ".join(counts) + ("…" if len(far) > SHOWN else "")
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
            shown = "; ".join(several[:SHOWN]) + ("…" if len(several) > SHOWN else "")
            yield f"{column.name}: values that differ in capitals or spaces alone are different: {shown}"


def _zeros(column: Observed) -> str:
    """A question if 0 is frequent and lies apart from other values, so that it may mean missing; else ""."""
    import numpy as np

    if not column.is_number or column.distinct < 20:
        return ""
    known = np.asarray(column.cells.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    zeros, others = int((known == 0).sum()), known[(known != 0) & np.isfinite(known)]
    if not ZEROS * len(known) <= zeros <= len(others):
        return ""
    low, middle = np.quantile(np.abs(others), [0.01, 0.5])
    values, counts = np.unique(others, return_counts=True)
    # A count begins at 1, one step from 0: there 0 is a value like any other. So 0 must lie far from nearly all other
    # values, by the middle value and by the usual step between two values, and be the most frequent number by far.
    if low < 0.1 * middle or low < 5 * np.median(np.diff(values)) or zeros < 3 * counts.max():
        return ""
    return f"{zeros:,} cells are exactly 0 and hardly any lies near it: does 0 mean missing?"


def _repeated(rows: pa.Table, key: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa

    # Rows with images are compared by `_repeated_images`.
    kept = [name for name in rows.column_names if name not in key and not pa.types.is_timestamp(rows[name].type)]
    if len(kept) < 2 or any(pa.types.is_binary(rows[name].type) for name in kept):
        return
    repeated = repeated_rows([rows[name] for name in kept])
    if repeated > REPEATED * rows.num_rows:
        yield f"{repeated:,} rows repeat another one in every column but key and time: the same row may train and test"


def _repeated_images(rows: pa.Table, label: str, key: Sequence[str]) -> Iterator[str]:
    """Sentences on images that come more than once, byte for byte: with different labels, then with the same."""
    import pyarrow as pa

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
            pairs = [" and ".join(f"{names[at]} ({labels[at]!r})" for at in places[:SHOWN]) for places in apart[:SHOWN]]
            shown = "; ".join(pairs) + ("…" if len(apart) > SHOWN else "")
            yield f"{image}: the same image with different labels, {len(apart):,}×: {shown}: no model is right on both"
        if more := sum(map(len, same.values())) - len(same) - sum(len(places) - 1 for places in apart):
            repeat = "1 image repeats" if more == 1 else f"{more:,} images repeat"
            yield f"{image}: {repeat} another one of the same label: the same image may train and test"


def _gaps(times_N: npt.NDArray[np.datetime64]) -> Iterator[str]:
    """A sentence on gaps: neighbouring days with rows that lie much further apart than the median of all."""
    import numpy as np

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
