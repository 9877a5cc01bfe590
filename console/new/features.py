"""Decides which columns become features, and which are known of the predicted moment. Others have a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.console.image_folder import PARTS
from millrace.console.new.columns import LeftOut, Profile
from millrace.console.new.contract import is_free_text, why_no_feature
from millrace.console.new.duplicates import copies
from millrace.console.new.event_times import is_later
from millrace.console.new.times import Series, far_times, micros
from millrace.console.new.words import words_of_name
from millrace.contract.ahead import Ahead
from millrace.contract.kinds import arrow_type
from millrace.contract.schema import Column, Table
from millrace.datasets.examples import Examples
from millrace.errors import ConfigurationError
from millrace.features.as_of import EntityTimes, entity_times
from millrace.features.known_ahead import KnownAhead

if TYPE_CHECKING:
    from millrace.console.new.reading import Reading

DAYS_OF_WEEKDAYS = 14
"""Times of 14 days or more have the weekday as a feature."""
DAYS_OF_MONTHS = 730
"""The same for the month: two years. In a single year a month is only a stretch of the past."""
HISTORY = "history"
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
BINS = 256
FEWEST_IN_BIN = 5
"""A bin of fewer training rows says nothing: the rule answers there as the naive rule does."""
REMAINING = 0.1
"""A column is a leak if the error of its rule is at most this share of the naive error."""
REMAINING_AMOUNT = 0.05
"""The same share if the label is a number: then the rule answers with the mean of a bin."""
NEAREST_ROWS = (1, -1)
"""The row of the same entity after, and before."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """The proposed features."""

    columns: tuple[str, ...]
    """Columns that are features as they are."""
    derived: tuple[dict[str, Any], ...]
    """Calendars and histories, as workload.yaml has them: `{"name": "when", "calendar": "sold_at", "parts": ["hour"]}`.
    """
    others: tuple[LeftOut, ...]
    """Columns that are no features, with their reasons."""
    texts: tuple[str, ...] = ()
    """The columns of `columns` whose words are read."""
    every_hours: float = 1.0
    """The distance of the rows of a series, in hours: the step of its horizons, with a history or without."""

    def with_history(self, series: Series, seen: Sequence[Profile], contract: Table) -> Features:
        """The same features, and the past of all numbers among them; the label's too, where it is an input."""
        numbers = [column.name for column in seen if column.name in self.columns and column.is_number]
        stepped = replace(self, every_hours=series.every_hours)
        if not numbers:
            return stepped
        past: dict[str, Any] = {"name": _free(HISTORY, contract), "history": numbers, "hours": series.hours}
        if series.every_hours != 1:
            past["every_hours"] = series.every_hours
        return replace(stepped, derived=(*self.derived, past))

    def reaching(self, hours: float) -> Features:
        """The same features, with histories that reach so far back."""
        derived = (each | {"hours": hours} if "history" in each else each for each in self.derived)
        return replace(self, derived=tuple(derived))

    def without(self, left_out: Sequence[LeftOut]) -> Features:
        """The same features without these columns, which histories lose as well. They join `others`."""
        names = {one.name for one in left_out}
        derived: list[dict[str, Any]] = []
        for feature in self.derived:
            # A history goes if no column of it is left. A calendar has no `history` and stays as it is.
            kept = [name for name in feature.get("history", ()) if name not in names]
            derived += [feature | {"history": kept}] if kept else [] if "history" in feature else [feature]
        return replace(
            self,
            columns=tuple(name for name in self.columns if name not in names),
            derived=tuple(derived),
            others=(*self.others, *left_out),
            texts=tuple(name for name in self.texts if name not in names),
        )


def find_features(reading: Reading, excluded: Sequence[str]) -> Features:
    """The features of the columns that were read.

    `excluded` are no candidates and need no reason. Columns of `--keep` are taken although they are of a person."""
    seen, contract, keep, event_time = reading.seen, reading.contract, reading.choices.keep, reading.event_time
    columns, others, derived, texts = [], [], [], []
    known = [one for one in seen if one.name not in excluded and not contract.column(one.name).is_protected]
    # Without an event time the first of several times is surely known, those after it may not be.
    times = [one for one in known if one.is_time and one.name == event_time] or [one for one in known if one.is_time]
    for observed in seen:
        if observed.name in excluded:
            continue
        column = contract.column(observed.name)
        # The first reason against a column counts.
        if column.is_protected and observed.name not in keep:
            others.append(LeftOut(name=observed.name, reason=f"of a person (--keep {observed.name} takes it)"))
        elif observed.is_time:
            before = next((one.name for one in times if one is not observed and is_later(observed, one)), "")
            if before and observed.name not in keep and observed.name != event_time:
                reason = f"never before {before}: is it known at prediction time? (--keep {observed.name} takes it)"
                others.append(LeftOut(name=observed.name, reason=reason))
            elif parts := calendar_parts(observed):
                derived.append(_calendar(observed.name, event_time, contract, parts))
            else:
                others.append(LeftOut(name=observed.name, reason="a time: too few days for weekdays, and no hours"))
        elif says_part(observed):
            others.append(LeftOut(name=observed.name, reason="says which part a row belongs to"))
        elif observed.may_be_time and not observed.is_number:
            others.append(LeftOut(name=observed.name, reason=observed.changed))
        elif (reason := why_no_feature(column, observed)) and not (observed.is_number and observed.name in keep):
            others.append(LeftOut(name=observed.name, reason=reason))
        else:
            texts += [observed.name] if is_free_text(column, observed) else []
            columns.append(observed.name)
    found = Features(columns=tuple(columns), derived=tuple(derived), others=tuple(others), texts=tuple(texts))
    read = [observed for observed in seen if observed.name in columns]
    return found.without([one for one in copies(read) if one.name not in keep])


def calendar_parts(column: Profile) -> list[str]:
    """The parts of the calendar that differ in these times and come again: of `hour`, `weekday` and `month`."""

    # Microseconds since 1970. Days that lie decades from the others would make the span look like years.
    times = micros(column.cells.drop_null()).to_numpy()
    days = np.setdiff1d(times // 86_400_000_000, [(day - date(1970, 1, 1)).days for day, _ in far_times(column.cells)])
    span = int(days[-1] - days[0]) + 1 if len(days) else 0
    found = ["hour"] if len(np.unique(times // 3_600_000_000 % 24)) > 1 else []
    if span >= DAYS_OF_WEEKDAYS and len(np.unique(days % 7)) > 1 and not _are_months(days):
        found.append("weekday")
    return [*found, "month"] if span >= DAYS_OF_MONTHS else found


def _are_months(days: Integers) -> bool:
    """Whether the days since 1970 are all the first or all the last of a month. Their weekdays say nothing."""
    for each in (days, days + 1):
        dates = each.astype("datetime64[D]")
        if (dates == dates.astype("datetime64[M]")).all():
            return True
    return False


def _calendar(name: str, event_time: str, contract: Table, parts: list[str]) -> dict[str, Any]:
    words = "when" if name == event_time else f"{name}_calendar"
    return {"name": _free(words, contract), "calendar": name, "parts": parts}


def _free(name: str, contract: Table) -> str:
    """The name, with as many underscores behind it as make it differ from all columns."""
    while name in contract.names:
        name += "_"
    return name


def says_part(column: Profile) -> bool:
    """Whether all words of the column are words for parts."""
    if column.kind != "string" or not 2 <= column.distinct <= len(PARTS):
        return False
    return {str(word).lower() for word in column.cells.drop_null().unique().to_pylist()} <= PARTS.keys()


def find_leaks(
    examples: Examples,
    target_N: npt.NDArray[Any],
    names: Sequence[str],
    *,
    entity: Sequence[str],
    event_time: str,
) -> list[LeftOut]:
    """The columns of `names` that give the label away: of their own row, or of the row of the entity before or after.

    `target_N` is the task's target: numbers of classes (int64, or the floats 0.0 and 1.0) or amounts. If it has several
    horizons, the farthest counts."""
    target_N = target_N[:, -1] if target_N.ndim == 2 else target_N
    # Two classes come as floats of 0 and 1: the first thousand rows tell them from amounts.
    is_class = target_N.dtype == np.int64 or set(np.unique(target_N[:1000]).tolist()) <= {0.0, 1.0}
    train, test = examples.parts.train, examples.parts.test
    naive = naive_error(target_N, train, test, is_class=is_class)
    [rows] = entity_times([examples.table], entity=entity, event_time=event_time)
    found = []
    for name in names:
        place_N, width, number_N = binned(examples.table[name], train)
        error = rule_error(place_N, width, target_N, train, test, is_class=is_class)
        if not is_class and number_N is not None:
            error = min(error, _line_error(number_N, target_N, train, test))
        if naive and error <= (REMAINING if is_class else REMAINING_AMOUNT) * naive:
            right = f"right on {1 - error:.1%} of the test rows" if is_class else f"off by {error:.3g} on average"
            usual = f"class of most training rows on {1 - naive:.1%}" if is_class else f"median by {naive:.3g}"
            reason = f"alone it is {right} (the {usual}): is it known at prediction time?"
            found.append(LeftOut(name=name, reason=f"{reason} (--keep {name} takes it)"))
        elif number_N is not None and (said := _shifted(rows, target_N, number_N, is_class=is_class)):
            found.append(LeftOut(name=name, reason=f"{said} (--keep {name} takes it)"))
    return found


def naive_error(target_N: npt.NDArray[Any], train: slice, test: slice, *, is_class: bool) -> float:
    if is_class:
        return float(np.mean(target_N[test] != _mode(target_N[train])))
    return float(np.abs(target_N[test] - np.median(target_N[train])).mean())


def _mode(target_N: npt.NDArray[Any]) -> Any:
    values, counts = np.unique(target_N, return_counts=True)
    return values[counts.argmax()]


def binned(column: pa.ChunkedArray, train: slice) -> tuple[Integers, int, Floats | None]:
    """The bin of each row, the number of bins, and the numbers of a column of numbers.

    Numbers are binned by the quantiles of the training rows, and each text has a bin of its own. Bin 0 has the missing
    cells."""

    cells = column.combine_chunks()
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
        number_N = np.asarray(cells.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False))
        edges = _edges(number_N[train][np.isfinite(number_N[train])])
        place_N = np.where(np.isfinite(number_N), np.searchsorted(edges, number_N, side="right") + 1, 0)
        return place_N.astype(np.int64), len(edges) + 2, number_N
    # The place of a text among the different texts, plus one; a missing cell is -1 plus one.
    words = cells.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return words, int(words.max(initial=0)) + 1, None


def _edges(known: Floats) -> Floats:
    """The numbers at which bins begin. A value of many rows has a bin of its own, the others share bins.

    For example, of 2,889 zeros and 111 different amounts the zeros are one bin. Each other bin has FEWEST_IN_BIN
    amounts."""
    values, counts = np.unique(known, return_counts=True)
    many = FEWEST_IN_BIN if len(values) <= BINS else max(FEWEST_IN_BIN, len(known) / BINS)
    alone, others = values[counts >= many], np.repeat(values[counts < many], counts[counts < many])
    bins = min(BINS, len(others) // FEWEST_IN_BIN)
    # A bin of its own begins at the value and ends at the next larger double.
    shared = np.quantile(others, np.linspace(0, 1, bins + 1)[1:-1]) if bins else others[:0]
    return np.unique(np.concatenate([alone, np.nextafter(alone, np.inf), shared]))


def rule_error(
    place_N: Integers, width: int, target_N: npt.NDArray[Any], train: slice, test: slice, *, is_class: bool
) -> float:
    """The error of the rule on the test rows: a share of wrong answers, or a mean absolute error.

    The rule answers with the class of most training rows in the bin, or with their mean. In a bin of few training rows
    it answers with the class of most rows of all, or with the median."""
    count = np.bincount(place_N[train], minlength=width)
    enough_T = (count >= FEWEST_IN_BIN)[place_N[test]]
    if not is_class:
        sums = np.bincount(place_N[train], weights=target_N[train], minlength=width)
        means = np.divide(sums, count, out=np.full(width, np.median(target_N[train])), where=count >= FEWEST_IN_BIN)
        return float(np.abs(means[place_N[test]] - target_N[test]).mean())
    classes, class_N = np.unique(target_N, return_inverse=True)
    table = np.zeros((width, len(classes)), dtype=np.int64)
    # Rows of each class in each bin. `add.at` counts a repeated place each time; `table[…] += 1` would count it once.
    np.add.at(table, (place_N[train], class_N[train]), 1)
    answer_T = np.where(enough_T, table.argmax(axis=1)[place_N[test]], table.sum(axis=0).argmax())
    return float(np.mean(answer_T != class_N[test]))


def _line_error(number_N: Floats, target_N: npt.NDArray[Any], train: slice, test: slice) -> float:
    """The mean absolute error on the test rows of a straight line through the training rows.

    A missing cell counts as the mean. Infinite if the column has fewer than two different numbers."""
    known = np.isfinite(number_N[train])
    if known.sum() < 2 or np.ptp(number_N[train][known]) == 0:
        return np.inf
    scale = float(np.abs(number_N[train][known]).max())
    x_N = np.where(np.isfinite(number_N), number_N, number_N[train][known].mean()) / scale
    slope, start = np.polyfit(x_N[train][known], target_N[train][known].astype(np.float64), 1)
    return float(np.abs(slope * x_N[test] + start - target_N[test]).mean())


def _shifted(rows: EntityTimes, target_N: npt.NDArray[Any], number_N: Floats, *, is_class: bool) -> str:
    """Why the column gives the label away of the row before or after it, of the same entity; "" if it does not."""
    # Sorted by entity and time, neighbours are rows of one entity, but for those where an entity ends (`same`).
    order_N = np.lexsort((rows.time_N, rows.entity_N))
    value_N, label_N, owner_N = number_N[order_N], target_N[order_N].astype(np.float64), rows.entity_N[order_N]
    for shift in NEAREST_ROWS:
        # `far` is the row before `near` for a shift of 1, the row after it for a shift of -1.
        near, far = (
            (slice(shift, None), slice(None, -shift)) if shift > 0 else (slice(None, shift), slice(-shift, None))
        )
        same = owner_N[near] == owner_N[far]
        if same.sum() < 100:
            continue
        value, label = value_N[near][same], label_N[far][same]
        if np.mean(value != label) <= REMAINING * (np.mean(label != _mode(label)) if is_class else 1.0):
            which = "before" if shift > 0 else "after"
            return f"it is the label of the row {which}: is that known at prediction time?"
    return ""


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
