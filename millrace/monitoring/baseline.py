"""The baseline: what a champion's own training rows lead one to expect of a window, in a small JSON file.

Axes: N rows, K windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from millrace.datasets.examples import entities_of
from millrace.errors import ArtefactError, ConfigurationError
from millrace.features import catalogue as encoders
from millrace.features.as_of import times_us
from millrace.features.catalogue import Features
from millrace.messages.monitor import BASELINE_FILE
from millrace.monitoring.answers import HeldAnswers
from millrace.monitoring.calibration import (
    PROMISED_WINDOWS,
    SLICES,
    Calibrated,
    Moments,
    apart,
    calibrate,
    factor_of,
    run_of,
    runs_of_few,
    score_bounds,
)
from millrace.monitoring.error import ErrorBound
from millrace.monitoring.expected_error import ErrorModel
from millrace.monitoring.sketch import CategoricalSketch, Constant, NumericSketch, Sketch, constant, kind_of, sketch
from millrace.monitoring.statistics import STATISTICS, Counts
from millrace.timestamps import EPOCH
from millrace.workload.declaration import Workload

FEWEST_WINDOWS = 2
"""With fewer historic windows no baseline is made."""
USUAL_SHARE = 0.8
"""A window with less than this share of the usual rows is judged by wider bounds, and none is calibrated on it."""
FEWEST_ROWS = 10
"""A window with fewer rows, or with less than a slice of a usual one, is not judged."""


@dataclass(frozen=True)
class BaselineColumn:
    """One column: the distribution of its values, and the moments of its statistics."""

    name: str
    sketch: Annotated[NumericSketch | CategoricalSketch | Constant, Field(discriminator="kind")]
    moments: Mapping[str, Moments]
    """The moments by the name of the statistic; empty for a constant column."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """All that a window is judged by."""

    workload: str
    start: datetime | None
    """The event time of the first row; None if the rows have no time."""
    end: datetime | None
    """The event time of the last row."""
    rows: int
    window_days: int
    rows_per_window: int
    """The median of the rows of a historic window."""
    windows: int
    """The number of historic windows that the bounds rest on."""
    rate: float
    """The declared probability of a false alarm in a window, for all columns together."""
    score_bounds: Mapping[str, float]
    """The score that alarms, by the name of the statistic."""
    run: int
    """The slices of the parts of windows that the bounds rest on: SLICES if they rest on whole windows."""
    factors: Mapping[str, tuple[float, ...]]
    """By how much the bounds grow for windows with few rows, by the name of the statistic: for each of the RUNS up
    to `run` whose parts have FEWEST_ROWS rows."""
    columns: tuple[BaselineColumn, ...]
    error: ErrorBound | None
    """The bound on the error; None if neither the history nor the test rows set one."""
    answers: HeldAnswers | None = None
    """What answers are like without drift; None for rows in order of time, whose neighbours are alike."""
    error_model: ErrorModel | None = None
    """What errors depend on; None if answers say how sure they are, or if there are too few held-out rows."""

    def bound(self, column: BaselineColumn, statistic: str, rows: int) -> float | None:
        """The bound of a statistic of this column in a window with `rows` rows; None if the window is not judged."""
        known = STATISTICS[statistic]
        whole = known.fixed_bound
        if whole is None:
            whole = column.moments[statistic].bound(self.score_bounds[statistic])
        # Of the parts with no more rows the largest counts.
        for run, factor in ((SLICES, 1.0), *zip(runs_of_few(self.run), self.factors.get(statistic, ()), strict=False)):
            if rows >= USUAL_SHARE * self.rows_per_window * run / SLICES:
                return min(whole * factor, known.highest_bound)
        return None

    def to_json(self) -> str:
        """The text of the file."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Baseline:
        """The baseline in the text of a file. Raises ArtefactError, which names the field."""
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ArtefactError(f"{BASELINE_FILE}: {field}: {first['msg']}, got {first['input']!r}") from None


_ADAPTER: TypeAdapter[Baseline] = TypeAdapter(Baseline)


def build(
    table: pa.Table,
    *,
    workload: Workload,
    features: Features,
    error: ErrorBound | None,
    is_in_time: bool = True,
) -> Baseline:
    """The baseline of a model with these features that was trained on `table`.

    `table` has the event time and the columns that the features read. Its rows are in any order. The columns that the
    encoders watch are sketched. `error` is the bound on the error of the model's decisions.

    Rows in no order of time (`is_in_time=False`) have no windows of their own. PROMISED_WINDOWS random parts of about
    equal size stand for them, each of whole entities, whose rows may be alike.

    Raises ConfigurationError for a missing column, for a watched column whose type has no sketch, and for a history
    with fewer than FEWEST_WINDOWS complete windows."""
    monitors = workload.monitors
    _require(table, [workload.prediction.event_time, *encoders.columns(features)])
    seconds_N = times_us(table.column(workload.prediction.event_time)) // 1_000_000
    # `window_N` has the number of each row's window, `complete` the numbers of the windows that bounds may rest on.
    if is_in_time:
        order_N, (window_N, complete) = seconds_N, windows_of(seconds_N, monitors.window_days)
    else:
        _require(table, workload.entity)
        entity_N = entities_of(table, workload)
        order_N, (window_N, complete) = _at_random(entity_N), random_windows(entity_N)
    if len(complete) < FEWEST_WINDOWS:
        raise ConfigurationError(
            where=f"history of {workload.name}",
            field="complete windows of monitors.window_days",
            expected=f"at least {FEWEST_WINDOWS}",
            came=len(complete),
        )
    return of_windows(
        encoders.summarise(features, table),
        window_N,
        complete,
        order_N=order_N,
        workload=workload.name,
        span=(_moment(seconds_N.min()), _moment(seconds_N.max())),
        window_days=monitors.window_days,
        rate=monitors.false_alarm_rate,
        error=error,
    )


def of_windows(
    watched: pa.Table,
    window_N: NDArray[np.int64],
    complete: NDArray[np.int64],
    *,
    order_N: NDArray[np.int64] | None = None,
    workload: str,
    span: tuple[datetime, datetime] | None,
    rate: float,
    window_days: int = 0,
    error: ErrorBound | None = None,
) -> Baseline:
    """The baseline of the watched columns, whose rows lie in these windows. `span` has their first and last time.

    `order_N` has the places of the rows in time; None if they are in order."""
    rows = int(np.median(np.bincount(window_N)[complete]))
    run = run_of(len(complete), rows, fewest=FEWEST_ROWS)
    slice_N = window_N * SLICES + _slices(window_N, order_N)
    # A sketch and the calibrated statistics of every watched column; then the bounds for all columns together.
    columns, calibrated, parts = [], [], {}
    for name in watched.column_names:
        values = watched.column(name)
        # For its error: a constant column of an unknown type is refused too.
        kind_of(name, values.type)
        bins = constant(values) or sketch(name, values)
        found: Mapping[str, Calibrated] = {}
        if not isinstance(bins, Constant):
            counts = _counted(bins, values, slice_N, complete)
            found = calibrate(bins, counts, run)
            calibrated.append(found)
            # A part of a window needs rows enough to be judged.
            judged = (part for part in runs_of_few(run) if rows * part // SLICES >= FEWEST_ROWS)
            parts[name] = {part: apart(bins, counts, part) for part in judged}
        columns.append(BaselineColumn(name, bins, {of: one.moments for of, one in found.items()}))
    made = Baseline(
        workload=workload,
        start=span[0] if span else None,
        end=span[1] if span else None,
        rows=watched.num_rows,
        window_days=window_days,
        rows_per_window=rows,
        windows=len(complete),
        rate=rate,
        score_bounds=score_bounds(calibrated, rate),
        run=run,
        factors={},
        columns=tuple(columns),
        error=error,
    )
    return replace(made, factors=_factors(made, parts))


def _factors(
    made: Baseline, parts: Mapping[str, Mapping[int, Mapping[str, NDArray[np.float64]]]]
) -> dict[str, tuple[float, ...]]:
    """The factors of the bounds of windows with few rows, from the statistics of the parts of windows, by column."""
    ratios: dict[str, dict[int, list[NDArray[np.float64]]]] = {}
    for column in made.columns:
        for run, found in parts.get(column.name, {}).items():
            for of, apart_P in found.items():
                bound = cast("float", made.bound(column, of, made.rows_per_window))
                ratios.setdefault(of, {}).setdefault(run, []).append(apart_P / bound)
    # Any column alarms, so the largest counts. Independent rows need the square root.
    return {
        of: tuple(
            factor_of(np.max(one, axis=0), made.rate, least=math.sqrt(made.run / run)) for run, one in by_run.items()
        )
        for of, by_run in ratios.items()
    }


def _require(table: pa.Table, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in table.column_names]:
        raise ConfigurationError(where="history", field=missing[0], expected="a column", came=table.column_names)


def _counted(bins: Sketch, values: pa.ChunkedArray, slice_N: NDArray[np.int64], complete: NDArray[np.int64]) -> Counts:
    """The rows of each slice of the complete windows (K, S, B)."""
    slices = bins.count_windows(values, slice_N, (int(slice_N.max()) // SLICES + 1) * SLICES)
    bins_KSB = slices.bins.reshape(-1, SLICES, slices.bins.shape[-1])
    return replace(slices, bins=bins_KSB[complete], missing=slices.missing.reshape(-1, SLICES)[complete])


def _slices(window_N: NDArray[np.int64], order_N: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """The slice of each row in its window (N), 0 to SLICES - 1: equally many rows in the order of time."""
    sorted_N = np.argsort(window_N, kind="stable") if order_N is None else np.lexsort((order_N, window_N))
    rows_K = np.bincount(window_N)
    window_N = window_N[sorted_N]
    place_N = np.arange(len(window_N)) - (np.cumsum(rows_K) - rows_K)[window_N]
    slice_N = np.empty_like(window_N)
    slice_N[sorted_N] = place_N * SLICES // rows_K[window_N]
    return slice_N


def windows_of(moments_s: NDArray[np.int64], days: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row's window (N), the oldest is 0, and the numbers of the complete windows (K).

    `moments_s` are event times in seconds. Windows have `days` days. One with less than USUAL_SHARE of the median rows
    is not complete."""
    # Counted back from the last day: so the most recent window is whole, and the one that is cut off is the oldest.
    end_s = (moments_s.max() // 86_400 + 1) * 86_400
    back_N = (end_s - 1 - moments_s) // (days * 86_400)
    window_N = back_N.max() - back_N
    rows_K = np.bincount(window_N)
    usual = np.median(rows_K[rows_K > 0])
    return window_N, np.flatnonzero(rows_K >= USUAL_SHARE * usual)


def random_windows(entity_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same as `windows_of`, for PROMISED_WINDOWS random parts, or one for each row if there are fewer rows.

    The rows of an entity (N) are in one part, if there are as many entities. The parts are the same whenever the rows
    are."""
    # Each entity gets a random place. The places are cut into `count` stretches of about as many rows.
    count = min(PROMISED_WINDOWS, len(entity_N))
    place_N = _at_random(entity_N)
    if place_N.max(initial=0) + 1 < count:
        place_N = _at_random(np.arange(len(entity_N)))
    rows_E = np.bincount(place_N)
    window_N = (np.cumsum(rows_E) - rows_E)[place_N] * count // max(len(place_N), 1)
    rows_K = np.bincount(window_N, minlength=count)
    return window_N, np.flatnonzero(rows_K >= USUAL_SHARE * np.median(rows_K))


def _at_random(entity_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """A random place of each row (N); rows of an entity have the same."""
    return np.random.default_rng(0).permutation(int(entity_N.max(initial=-1)) + 1)[entity_N]


def rows_of_random_window(rows: int) -> int:
    """The rows of one of the `random_windows`, rounded down."""
    return rows // min(PROMISED_WINDOWS, max(rows, 1))


def _moment(seconds: np.int64) -> datetime:
    return EPOCH + timedelta(seconds=int(seconds))
