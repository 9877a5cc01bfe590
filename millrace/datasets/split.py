"""Splits a snapshot into three parts: by event time, row order, a column, or the hash of the entity. Never shuffled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from millrace.errors import SnapshotError
from millrace.tasks.metrics import WindowError

if TYPE_CHECKING:
    from millrace.workload.training import Days

    Times = npt.NDArray[np.datetime64]
    Parts = npt.NDArray[np.int64]


def spread(rows: slice, most: int) -> npt.NDArray[np.int64]:
    """The indices of at most `most` of these rows, spread evenly over them, rising."""
    count = rows.stop - rows.start
    return np.unique(np.linspace(rows.start, rows.stop - 1, min(count, most)).astype(np.int64))


@dataclass(frozen=True, kw_only=True)
class Split:
    """The three parts as slices of the rows, and the times at which they begin and end.

    The rows are in the order of event time or, if the split is not in time, in the order of their parts."""

    train: slice
    validation: slice
    test: slice
    validation_from: np.datetime64
    test_from: np.datetime64
    end: np.datetime64
    """The midnight after the last day, which itself is not in the split."""
    is_in_time: bool = True
    """False if the parts overlap in time. Then `validation_from` and `test_from` are the first day of all rows."""


def split(times_N: Times, *, horizon: np.timedelta64 | None = None, **lengths: Unpack[Days]) -> Split:
    """The split in time: the last `test_days` days test, the `validation_days` days before validate, all before train,
    or with `train_days` only so many days before.

    A day is a calendar day of event time. With a `horizon`, rows with a label that lies in the next part are left out.
    Raises SnapshotError if one of the parts has no rows."""
    return split_at(times_N, (times_N[-1].astype("datetime64[D]") + np.timedelta64(1, "D")), horizon=horizon, **lengths)


def without_strays(times_N: Times, *, days: int) -> slice:
    """The rows without strays: the few at either end that lie more than `days` days from all others.

    Few are 1 in 100, and one in any case. Otherwise a date that is wrong by years, such as 9999-12-31 after 1996-12-31,
    would be the last day of all, and the days before it would be empty."""
    gaps = np.flatnonzero(np.diff(times_N) > np.timedelta64(max(days, 1), "D"))
    # Of all gaps, the last one near the start and the first one near the end count: what lies outside is left out.
    few = max(1, len(times_N) // 100)
    start = max((int(at) + 1 for at in gaps if at + 1 <= few), default=0)
    stop = min((int(at) + 1 for at in gaps if len(times_N) - at - 1 <= few), default=len(times_N))
    return slice(start, stop) if start < stop else slice(0, len(times_N))


def split_at(
    times_N: Times,
    end: np.datetime64,
    *,
    validation_days: int,
    test_days: int,
    train_days: int | None = None,
    horizon: np.timedelta64 | None = None,
) -> Split:
    """As `split`, for the rows before `end`, which is a midnight. Later rows are in none of the parts."""
    test_from = end - np.timedelta64(test_days, "D")
    validation_from = test_from - np.timedelta64(validation_days, "D")
    first, second, last = (int(at) for at in np.searchsorted(times_N, [validation_from, test_from, end]))
    # With a horizon, the label of a row near the end of a part is known only in the next part: with such rows, training
    # would know of validation.
    ahead = np.timedelta64(0, "us") if horizon is None else horizon
    trained, held = (int(at) for at in np.searchsorted(times_N, [validation_from - ahead, test_from - ahead]))
    oldest = 0
    if train_days is not None:
        oldest = int(np.searchsorted(times_N, validation_from - ahead - np.timedelta64(train_days, "D")))
    for name, rows in (("training", trained - oldest), ("validation", held - first), ("test", last - second)):
        if rows <= 0:
            raise SnapshotError(
                f"expected rows to train on before {validation_from}, to validate on before {test_from} and to "
                f"test on before {end}, got no {name} rows among {len(times_N):,} of {times_N[0]} to {times_N[-1]}",
            )
    return Split(
        train=slice(oldest, trained),
        validation=slice(first, held),
        test=slice(second, last),
        validation_from=validation_from,
        test_from=test_from,
        end=end,
    )


def split_by_parts(parts_N: Parts, times_N: Times) -> tuple[npt.NDArray[np.int64], Split]:
    """The numbers of the rows in the order of their parts, and their split.

    A part is 0 for training, 1 for validation, 2 for test; any other number is no part. Within a part the rows keep
    their order. Raises SnapshotError if a part has no rows."""
    counts = [int((parts_N == part).sum()) for part in range(3)]
    for name, rows in zip(("training", "validation", "test"), counts, strict=True):
        if rows == 0:
            raise SnapshotError(f"expected rows of each part, got no {name} rows among {len(parts_N)}")
    order = np.concatenate([np.flatnonzero(parts_N == part) for part in range(3)])
    first, second, last = (int(at) for at in np.cumsum(counts))
    start = times_N.min().astype("datetime64[D]")
    found = Split(
        train=slice(0, first),
        validation=slice(first, second),
        test=slice(second, last),
        validation_from=start,
        test_from=start,
        end=times_N.max().astype("datetime64[D]") + np.timedelta64(1, "D"),
        is_in_time=False,
    )
    return order, found


def parts_by_order(rows: int, *, validation_share: float, test_share: float) -> Parts:
    """The part of each of `rows` rows in order: 0 for training, 1 for validation, 2 for test. The last rows test."""
    test, validation = (round(rows * share) for share in (test_share, validation_share))
    return np.repeat(np.arange(3), [rows - validation - test, validation, test])


def parts_by_hash(keys: Iterable[str], *, validation_share: float, test_share: float) -> Parts:
    """The part of each key: 0 for training, 1 for validation, 2 for test.

    A key has the same part for ever, whatever other keys there are."""
    # Eight bytes of the hash make a number from 0 to 1. [0, test) is test, [test, test + validation) is validation, the
    # rest is training.
    edges = (test_share, test_share + validation_share)
    places = (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64 for key in keys)
    return np.array([2 if at < edges[0] else 1 if at < edges[1] else 0 for at in places], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class EarlierSplit:
    """One step of a walk forward: the split of a model of earlier days, or the reason why there is none."""

    end: np.datetime64
    """The midnight after the test days of the earlier model."""
    parts: Split | None
    reason: str = ""
    """Why the step is skipped; empty if it is not."""


def earlier_splits(
    times_N: Times,
    parts: Split,
    *,
    steps: int,
    horizon: np.timedelta64 | None = None,
    **lengths: Unpack[Days],
) -> list[EarlierSplit]:
    """The splits of a walk forward, the oldest first. Each ends `test_days` later than the one before it.

    The last one ends where the test days of `parts` begin. A step is skipped, with a reason, if fewer than a third of
    the training rows lie before its days, or if its own validation or test days have no rows: data may have gaps."""
    found, trained = [], parts.train.stop - parts.train.start
    for back in range(steps, 0, -1):
        end = parts.test_from - np.timedelta64(lengths["test_days"] * (back - 1), "D")
        # Its training rows lie before its own validation and test days, which are as long as those of `parts`.
        if np.searchsorted(times_N, end - (parts.end - parts.validation_from)) * 3 < trained:
            found.append(EarlierSplit(end=end, parts=None, reason="less than a third of the training rows before it"))
            continue
        try:
            earlier = split_at(times_N, end, horizon=horizon, **lengths)
        except SnapshotError as error:
            found.append(EarlierSplit(end=end, parts=None, reason=str(error)))
            continue
        found.append(EarlierSplit(end=end, parts=earlier))
    return found


@dataclass(frozen=True, kw_only=True)
class RowWindow:
    """The rows of a stretch of event time."""

    start: np.datetime64
    end: np.datetime64
    """The end of the stretch, which itself is not in it."""
    rows: slice

    def error(self, errors_N: npt.NDArray[np.float64]) -> WindowError:
        """The mean of these rows' errors; `errors_N` has the errors of all rows."""
        errors = errors_N[self.rows]
        return WindowError(start=str(self.start), end=str(self.end), rows=len(errors), error=float(errors.mean()))


def windows(times_N: Times, *, start: np.datetime64, end: np.datetime64, days: int) -> list[RowWindow]:
    """The windows of `days` days in [start, end), counted back from `end`. Windows without rows are left out."""
    # Counted back, so that the last window is whole. A remainder of less than a window is at the start, in no window.
    count = int((end - start) // np.timedelta64(days, "D"))
    edges = [end - np.timedelta64(days * back, "D") for back in range(count, -1, -1)]
    found = []
    for first, last in pairwise(edges):
        a, b = (int(at) for at in np.searchsorted(times_N, [first, last]))
        if b > a:
            found.append(RowWindow(start=first, end=last, rows=slice(a, b)))
    return found
