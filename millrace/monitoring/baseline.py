"""The baseline: what a champion's own training rows lead one to expect of a window, in a small JSON file.

Axes: N rows, K windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, TypeAdapter, ValidationError

from millrace.errors import ArtefactError, ConfigurationError
from millrace.features import catalogue as encoders
from millrace.messages.monitor import BASELINE_FILE
from millrace.monitoring.answers import HeldAnswers
from millrace.monitoring.calibration import Calibrated, Moments, calibrate, score_bounds
from millrace.monitoring.constant import Constant, constant
from millrace.monitoring.error import ErrorBound
from millrace.monitoring.sketch import CategoricalSketch, NumericSketch, Sketch, kind_of, sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millrace.features.catalogue import Features
    from millrace.workload.declaration import Workload

PROMISED_WINDOWS = 40
"""With at least so many historic windows, the declared false alarm rate was found to hold."""
FEWEST_WINDOWS = 8
"""With fewer historic windows no baseline is made."""
USUAL_SHARE = 0.8
"""A window with less than this share of the usual rows is not judged, and no bound is calibrated on it."""


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
    columns: tuple[BaselineColumn, ...]
    error: ErrorBound | None
    """The bound on the error; None if the errors of the history are too few to set one."""
    answers: HeldAnswers | None = None
    """What answers are like without drift; None for rows in order of time, whose neighbours are alike."""

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

    Rows in no order of time (`is_in_time=False`) have no windows of their own. PROMISED_WINDOWS random parts of equal
    size stand for them, and the false alarm rate is not promised.

    Raises ConfigurationError for a missing column, for a watched column whose type has no sketch, and for a history
    with fewer than FEWEST_WINDOWS complete windows."""
    monitors = workload.monitors
    _require(table, [workload.prediction.event_time, *encoders.columns(features)])
    seconds_N = _seconds(table.column(workload.prediction.event_time))
    found = windows_of(seconds_N, monitors.window_days) if is_in_time else random_windows(len(seconds_N))
    # `window_N` has the number of each row's window, `complete` the numbers of the windows that bounds may rest on.
    window_N, complete = found
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
    workload: str,
    span: tuple[datetime, datetime] | None,
    rate: float,
    window_days: int = 0,
    error: ErrorBound | None = None,
    known: Mapping[str, Sketch | Constant] = MappingProxyType({}),
) -> Baseline:
    """The baseline of the watched columns, whose rows lie in these windows. `span` has their first and last time.

    A column in `known` is compared with that distribution, whatever its rows are: they say how windows vary."""
    # A sketch and the calibrated statistics of every watched column; then the bounds for all columns together.
    columns = {
        name: _column(name, watched.column(name), window_N, complete, known.get(name)) for name in watched.column_names
    }
    calibrated = {name: statistics for name, (_, statistics) in columns.items()}
    return Baseline(
        workload=workload,
        start=span[0] if span else None,
        end=span[1] if span else None,
        rows=watched.num_rows,
        window_days=window_days,
        rows_per_window=int(np.median(np.bincount(window_N)[complete])),
        windows=len(complete),
        rate=rate,
        score_bounds=score_bounds(calibrated.values(), rate),
        columns=tuple(
            BaselineColumn(name, bins, {of: entry.moments for of, entry in statistics.items()})
            for name, (bins, statistics) in columns.items()
        ),
        error=error,
    )


def _require(table: pa.Table, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in table.column_names]:
        raise ConfigurationError(where="history", field=missing[0], expected="a column", came=table.column_names)


def _column(
    name: str,
    values: pa.ChunkedArray,
    window_N: NDArray[np.int64],
    complete: NDArray[np.int64],
    known: Sketch | Constant | None,
) -> tuple[Sketch | Constant, dict[str, Calibrated]]:
    """The column's sketch and its statistics over the history. A constant column has no statistics."""
    # For its error: a constant column of an unknown type is refused too.
    kind_of(name, values.type)
    bins = known or constant(values) or sketch(name, values)
    if isinstance(bins, Constant):
        return bins, {}
    counts = bins.count_windows(values, window_N, int(window_N.max()) + 1)
    windows = replace(counts, bins=counts.bins[complete], missing=counts.missing[complete])
    return bins, calibrate(bins, windows)


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


def random_windows(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same as `windows_of`, for PROMISED_WINDOWS random parts, or one for each row if there are fewer rows.

    The parts are the same whenever the number of rows is the same."""
    # Each row gets a random place. The places are cut into `count` stretches whose lengths differ by one at most.
    count = min(PROMISED_WINDOWS, rows)
    places_N = np.random.default_rng(0).permutation(rows)
    return places_N * count // max(rows, 1), np.arange(count)


def rows_of_random_window(rows: int) -> int:
    """The rows of one of the `random_windows`, rounded down."""
    return rows // min(PROMISED_WINDOWS, max(rows, 1))


def _seconds(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """The times as seconds since 1970 (UTC). Times without a zone are UTC."""
    return np.asarray(pc.cast(pc.cast(column, pa.timestamp("s"), safe=False), pa.int64()).to_numpy())


def _moment(seconds: np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))
