"""A first verdict on captured calls: which windows drifted, and in which the error grew; nothing need be deployed.

A window is a block of captured rows in order of time. Bounds are calibrated as a monitor's are, on blocks of the same
size before the captures that are judged, on rows that the model was trained on, or on Model Monitor's statistics.
Axes: N rows, K blocks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from millrace.console.sagemaker.captures import ANSWER, Captured, contents, document, parsed, read_table
from millrace.console.sagemaker.monitor import Statistics, statistics_of, statistics_of_known
from millrace.errors import ConfigurationError
from millrace.monitoring.baseline import USUAL_SHARE, Baseline, of_windows
from millrace.monitoring.calibration import PROMISED_WINDOWS
from millrace.monitoring.error import FEWEST, ErrorBound, drawn_bound, error_bound
from millrace.monitoring.judgement import Judgement, judge
from millrace.monitoring.sketch import Constant, Sketch, constant, kind_of, sketch
from millrace.monitoring.statistics import ValueKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 0.01
"""The probability that a window without a change alarms, over all columns together."""
FEWEST_BLOCKS = 8
"""With fewer blocks before those that are judged there is no verdict."""
FEWEST_ROWS = 20
"""A window has at least so many rows."""
BEFORE = 2 / 3
"""The share of the captures that the others are compared with, if nothing else is named."""
MOST_CLASSES = 20
"""Whole numbers with at most so many values are classes: they are equal or wrong. Others are wrong by an amount."""


@dataclass(frozen=True, kw_only=True)
class JudgedWindow:
    """One window with its figures."""

    start: datetime
    end: datetime
    judgement: Judgement
    labelled: int
    error: float | None
    """The mean error of the rows with a label; None without one."""
    error_bound: float | None
    """None if the labels before are too few to set one, or those of the window."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns above a bound, the worst first."""
        found = sorted((one for one in self.judgement.findings if one.ratio > 1), key=lambda one: -one.ratio)
        return tuple(dict.fromkeys(one.column for one in found))

    @property
    def has_worse_error(self) -> bool:
        return self.error is not None and self.error_bound is not None and self.error > self.error_bound


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the captures say."""

    rows: int
    labelled: int
    before: int
    """The windows are compared with so many rows captured before; 0 if with a reference."""
    doubts: tuple[str, ...]
    """Why more windows may alarm than RATE says, in words."""
    windows: tuple[JudgedWindow, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns that drifted, those in most windows first."""
        names = [name for window in self.windows for name in window.drifted]
        return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What captures are compared with, if not with those before."""

    baseline: Baseline | None = None
    """Of rows in order of time, which say how windows vary."""
    known: Mapping[str, Sketch | Constant] = field(default_factory=dict)
    """The distribution of each column, if nothing says how windows vary but the captures themselves."""


def judge_captures(
    captured: Captured, *, reference: Reference | None = None, since: datetime | None = None, threshold: float = 0.5
) -> Verdict:
    """The verdict on the rows from `since` on, or on the last third, compared with those before.

    With a `reference` it is on all rows. Raises ConfigurationError if there are too few rows."""
    rows = len(captured.times)
    before = bisect_left(captured.times, since) if since else int(rows * BEFORE)
    doubts: list[str] = []
    if reference is None or reference.baseline is None:
        size = _block_size(rows, before)
        if (blocks := before // size) < PROMISED_WINDOWS:
            doubts.append(f"the bounds rest on {blocks} windows, and with fewer than {PROMISED_WINDOWS} more may alarm")
        own = captured.table.slice(0, before)
        known = reference.known if reference else {}
        baseline = of_blocks(own.select(list(known)) if known else own, size, known=known)
    else:
        baseline = reference.baseline
        size = baseline.rows_per_window
    errors_N = errors(captured, threshold)
    bound, doubt = _error_bound(errors_N[:before], size)
    starts = range(0 if reference else before, rows - int(USUAL_SHARE * size) + 1, size)
    if not starts:
        raise ConfigurationError(where="captures", field="rows", expected=f"{size} for a window", came=rows - before)
    return Verdict(
        rows=rows,
        labelled=sum(label is not None for label in captured.labels),
        before=0 if reference else before,
        doubts=(*doubts, *((doubt,) if doubt else ())),
        windows=tuple(
            _window(captured, baseline, at, size, errors_N, bound if at >= before else None) for at in starts
        ),
    )


def _block_size(rows: int, before: int) -> int:
    size = max(before // PROMISED_WINDOWS, FEWEST_ROWS)
    if before // size < FEWEST_BLOCKS or rows - before < size:
        expected = f"{FEWEST_BLOCKS * FEWEST_ROWS} at least before those that are judged, and {FEWEST_ROWS} of these"
        raise ConfigurationError(
            where="captures", field="rows", expected=expected, came=f"{before} and {rows - before}"
        )
    return size


def of_blocks(rows: pa.Table, size: int, *, known: Mapping[str, Sketch | Constant] = MappingProxyType({})) -> Baseline:
    """The baseline of rows in blocks of `size` rows; the last block, if it has fewer, is not complete."""
    window_N, complete = np.arange(rows.num_rows) // size, np.arange(rows.num_rows // size)
    return of_windows(rows, window_N, complete, workload="captures", span=None, rate=RATE, known=known)


def _window(
    captured: Captured,
    baseline: Baseline,
    at: int,
    size: int,
    errors_N: NDArray[np.float64],
    bound: ErrorBound | None,
) -> JudgedWindow:
    own = errors_N[at : at + size]
    own = own[~np.isnan(own)]
    times = captured.times[at : at + size]
    return JudgedWindow(
        start=times[0],
        end=times[-1],
        judgement=judge(baseline, captured.table.slice(at, size)),
        labelled=len(own),
        error=float(own.mean()) if len(own) else None,
        error_bound=bound.of(len(own)) if bound and len(own) >= (FEWEST_ROWS if not bound.by_rows else 1) else None,
    )


def _error_bound(errors_N: NDArray[np.float64], size: int) -> tuple[ErrorBound | None, str]:
    """The bound on a window's mean error, and why it may be passed more often than RATE says, if so."""
    known = errors_N[~np.isnan(errors_N)]
    if len(known) < FEWEST_ROWS:
        return None, ""
    blocks = [errors_N[at : at + size] for at in range(0, len(errors_N) - size + 1, size)]
    means = [float(np.nanmean(one)) for one in blocks if np.isfinite(one).sum() >= size / 2]
    found = error_bound([means], windows=1, rate=RATE)
    if found is not None:
        return found, ""
    doubt = f"the error's bound is drawn from rows as if they were independent: {len(means)} windows have half of their"
    return drawn_bound(known, rows=size, windows=1, rate=RATE), f"{doubt} labels, {FEWEST} are needed"


def errors(captured: Captured, threshold: float) -> NDArray[np.float64]:
    """The error of each answer (N); NaN without a label or an answer.

    Answers between 0 and 1 to labels of 0 and 1 are probabilities, cut at `threshold`. A class is right or wrong, other
    numbers are wrong by an amount."""
    none_N = np.full(len(captured.times), np.nan)
    if ANSWER not in captured.table.column_names:
        return none_N
    answers = captured.table.column(ANSWER).to_pylist()
    both = [place for place, label in enumerate(captured.labels) if label is not None and answers[place] is not None]
    said, true = [answers[place] for place in both], [captured.labels[place] or "" for place in both]
    try:
        said_K, true_K = np.array(said, np.float64), np.array([float(one) for one in true])
    except ValueError:
        none_N[both] = [str(one) != label for one, label in zip(said, true, strict=True)]
        return none_N
    if set(true_K) <= {0.0, 1.0}:
        none_N[both] = (said_K >= threshold) != (true_K > 0)
    elif len(set(true_K)) <= MOST_CLASSES and not (true_K % 1).any() and not (said_K % 1).any():
        none_N[both] = said_K != true_K
    else:
        none_N[both] = np.abs(said_K - true_K)
    return none_N


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a model was trained on."""

    path: str
    rows: pa.Table
    label: str
    is_in_time: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of a request, in their order: all but the label."""
        return tuple(name for name in self.rows.column_names if name != self.label)

    @property
    def kinds(self) -> Mapping[str, ValueKind]:
        return {field.name: kind_of(field.name, field.type) for field in self.rows.schema}

    def reference(self, captured: Captured) -> Reference:
        """What the captures are compared with: in order of time the windows of these rows, else their distributions.

        Raises ConfigurationError if the captures have none of the columns, and for a handful of rows."""
        if self.rows.num_rows < FEWEST_ROWS:
            raise ConfigurationError(
                where=self.path, field="rows", expected=f"{FEWEST_ROWS} at least", came=self.rows.num_rows
            )
        shared = [name for name in self.names if name in captured.table.column_names]
        if not shared:
            raise ConfigurationError(
                where=self.path, field="columns", expected=", ".join(self.names), came=captured.table.column_names
            )
        rows = self.rows.select(shared)
        if not self.is_in_time:
            columns = {name: rows.column(name) for name in shared}
            return Reference(known={name: constant(one) or sketch(name, one) for name, one in columns.items()})
        size = max(min(rows.num_rows // PROMISED_WINDOWS, len(captured.times)), FEWEST_ROWS)
        return Reference(baseline=of_blocks(rows, size))


@dataclass(frozen=True)
class MonitorBaseline:
    """Model Monitor's `statistics.json`."""

    path: str
    known: Mapping[str, Sketch | Constant]
    names: tuple[str, ...]
    """The columns of a request, in their order."""

    @property
    def kinds(self) -> Mapping[str, ValueKind]:
        return {name: _kind(one) for name, one in self.known.items()}

    def reference(self, captured: Captured) -> Reference:
        """The distributions of the captured columns. Raises ConfigurationError if the captures have none of them."""
        shared = {name: one for name, one in self.known.items() if name in captured.table.column_names}
        if not shared:
            raise ConfigurationError(
                where=self.path, field="features", expected=", ".join(self.names), came=captured.table.column_names
            )
        return Reference(known=shared)


def _kind(known: Sketch | Constant) -> ValueKind:
    if isinstance(known, Constant):
        return "numeric" if isinstance(known.value, int | float) else "categorical"
    return known.kind


def open_baseline(path: str, *, label: str = "", time: str = "") -> TrainingRows | MonitorBaseline:
    """The baseline in the file: `statistics.json`, or rows as `read_rows` takes them."""
    if PurePosixPath(path).suffix != ".json":
        return read_rows(path, label=label, time=time)
    statistics = document(path, Statistics)
    names = tuple(one.name for one in statistics.features if one.name != label)
    return MonitorBaseline(path=path, known=statistics.known(path), names=names)


def read_rows(path: str, *, label: str = "", time: str = "") -> TrainingRows:
    """The rows of a CSV, JSON lines or Parquet file, sorted by the column `time` if it is named.

    Numbers are float64, all else is text; times are left out. Raises ConfigurationError if the file is none of these or
    lacks a column that is named."""
    rows = read_table(path)
    for option, name in (("--label", label), ("--time", time)):
        if name and name not in rows.column_names:
            raise ConfigurationError(where=path, field=option, expected=", ".join(rows.column_names), came=name)
    rows = rows.sort_by(time) if time else rows
    kept = [field.name for field in rows.schema if field.name != time and not pa.types.is_temporal(field.type)]
    plain = pa.table({name: _plain(rows[name]) for name in kept})
    return TrainingRows(path=path, rows=plain, label=label, is_in_time=bool(time))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return column.cast(pa.float64() if is_number else pa.string())


def statistics_in(path: str) -> dict[str, Any]:
    """The `statistics.json` of rows or of a version's `baseline.json`; or what the file is, if it is one."""
    if PurePosixPath(path).suffix != ".json":
        return statistics_of(read_rows(path).rows)
    where, content = next(contents([path], ending=".json"))
    if b'"features"' in content:
        return parsed(where, content, Statistics).model_dump(exclude_unset=True)
    baseline = Baseline.from_json(content)
    return statistics_of_known({one.name: one.sketch for one in baseline.columns}, baseline.rows)
