"""The error to expect of rows without a label, for answers that do not say how sure they are: numbers and forecasts.

Direct loss estimation (DLE, of NannyML): what the error depends on is learnt from held-out rows, where it is known, and
is then asked about each new row. Here by an additive model of binned columns, fitted by ridge regression: the answer,
the width of its interval, and the numbers and categories of the input.

    error = mean + Σ over the columns: what the bin of the row's cell adds

A row of which more is expected strays further. The interval holds the mean error of a window if its errors depend on
these columns as the held-out ones did. How far each held-out window lies from what the others let expect says how wide
it is.

Axes: N rows, B bins of all columns, K windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from millrace.decisions.columns import OUTPUT
from millrace.monitoring.live_error import student

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

BINS = 12
"""A number is cut into at most so many bins with about as many rows each."""
FEWEST = 20
"""A text that fewer held-out rows have counts as another one."""
MOST_ROWS = 10_000
"""Of more held-out rows some are drawn."""
RIDGES = (3.0, 30.0, 300.0, 1e9)
"""What a bin adds is believed as if so many rows more had added nothing: the one that errs least on other windows."""
FOLDS = 5
"""The windows are left out in so many parts. With fewer windows nothing is learnt."""
LOWER, UPPER = OUTPUT + "lower", OUTPUT + "upper"


@dataclass(frozen=True, kw_only=True)
class ColumnEffect:
    """What the cell of a row adds to the mean error."""

    cuts: tuple[float, ...] | tuple[str, ...]
    """The bounds between the bins of a number, or the texts that have a bin each; sorted."""
    added: tuple[float, ...] = ()
    """By bin; the last one is of a number that is missing, and of a text without a bin."""

    def places(self, cell: NDArray[Any]) -> Places:
        """The bin of each row (N)."""
        cuts, last = np.array(self.cuts), len(self.cuts) + 1
        if cell.dtype.kind != cuts.dtype.kind:
            return np.full(len(cell), last)
        if cell.dtype.kind == "f":
            return np.where(np.isnan(cell), last, np.searchsorted(cuts, cell, side="right"))
        place_N = np.searchsorted(cuts, cell)
        return np.where(cuts.take(place_N, mode="clip") == cell, place_N, last)


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """What the errors of held-out rows depend on."""

    mean: float
    effects: Mapping[str, ColumnEffect]
    """By column of the decisions: `output.value`, `input.age`."""
    between: float
    """The variance of the mean error of a window around what is expected of it, beside that of its rows."""
    within: float
    """The variance of a row's error, as a multiple of the square of what is expected of it."""
    windows: int
    """The held-out windows that `between` rests on."""

    def expected(self, decisions: pa.Table) -> Floats:
        """The error to expect of each row (N); never below 0."""
        found_N, cells = np.full(decisions.num_rows, self.mean), _cells(decisions)
        for column, effect in self.effects.items():
            found_N += np.array(effect.added)[effect.places(cells.get(column, np.full(len(found_N), np.nan)))]
        return found_N.clip(0.0)

    def interval(self, expected_N: Floats) -> tuple[float, float]:
        """What holds the mean error of rows of which these errors are expected."""
        mean, rows = float(expected_N.mean()), len(expected_N)
        variance = self.between * (1 + 1 / self.windows) + self.within * float((expected_N**2).mean()) / rows
        reach = student(self.windows - 1) * math.sqrt(variance)
        return max(mean - reach, 0.0), mean + reach


def learn(decisions: pa.Table, error_N: Floats, window_N: Places) -> ErrorModel | None:
    """What the errors of held-out rows depend on; None with fewer than FOLDS windows.

    `decisions` has answers and inputs as decisions have them. Rows of a window may be alike."""
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import GroupKFold, cross_val_predict

    kept = np.random.default_rng(0).permutation(len(error_N))[:MOST_ROWS]
    error_N, window_N = error_N[kept], np.unique(window_N[kept], return_inverse=True)[1]
    rows_K = np.bincount(window_N)
    if len(rows_K) < FOLDS:
        return None
    cells = _cells(decisions.take(kept))
    effects = {name: ColumnEffect(cuts=cuts) for name, cell in cells.items() if (cuts := _cuts(cell))}
    bins = [np.eye(len(effect.cuts) + 2)[effect.places(cells[name])] for name, effect in effects.items()]
    x_NB = np.concatenate([np.zeros((len(kept), 1)), *bins], axis=1)
    folds = list(GroupKFold(FOLDS).split(x_NB, groups=window_N))
    fitted = RidgeCV(RIDGES, cv=folds).fit(x_NB, error_N)
    added = np.split(fitted.coef_[1:], np.cumsum([part.shape[1] for part in bins])[:-1])
    # Between and within windows by their moments (Searle 1971), around 0: nothing is expected to be left over.
    held_N = cross_val_predict(Ridge(alpha=fitted.alpha_), x_NB, error_N, cv=folds)
    apart_N = error_N - held_N
    mean_K = np.bincount(window_N, apart_N) / rows_K
    within = float(((apart_N - mean_K[window_N]) ** 2).sum()) / max(len(kept) - len(rows_K), 1)
    return ErrorModel(
        mean=float(fitted.intercept_),
        effects={name: replace(effects[name], added=tuple(part)) for name, part in zip(effects, added, strict=False)},
        between=max(float((mean_K**2).mean()) - within * float((1 / rows_K).mean()), 0.0),
        within=within / max(float((held_N**2).mean()), 1e-12),
        windows=len(rows_K),
    )


def _cuts(cell: NDArray[Any]) -> tuple[Any, ...]:
    """The cuts of a column; none if its cells are all alike, or all rare."""
    if cell.dtype.kind != "f":
        texts, counts = np.unique(cell, return_counts=True)
        return tuple(texts[counts >= FEWEST].tolist())
    value_n = cell[np.isfinite(cell)]
    cuts = np.unique(np.quantile(value_n, np.arange(1, BINS) / BINS)) if len(value_n) else value_n
    return tuple(cuts[cuts > value_n.min(initial=math.inf)].tolist())


def _cells(decisions: pa.Table) -> dict[str, NDArray[Any]]:
    """The numbers and texts of answers and inputs; of an answer with parts their mean, of an interval its width."""
    cells: dict[str, NDArray[Any]] = {}
    for name in decisions.column_names:
        cell = decisions.column(name).combine_chunks()
        has_parts = name.startswith(OUTPUT) and pa.types.is_list(cell.type)
        flat = pc.list_flatten(cell) if has_parts else cell
        if pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_decimal(flat.type):
            value = pc.cast(flat, pa.float64()).to_numpy(zero_copy_only=False)
            cells[name] = value.reshape(len(cell), -1).mean(axis=1) if has_parts else value
        elif pa.types.is_string(cell.type) or pa.types.is_boolean(cell.type):
            cells[name] = pc.fill_null(pc.cast(cell, pa.string()), "").to_numpy(zero_copy_only=False).astype(str)
    if {UPPER, LOWER} <= cells.keys():
        cells[OUTPUT + "width"] = cells.pop(UPPER) - cells.pop(LOWER)
    return cells
