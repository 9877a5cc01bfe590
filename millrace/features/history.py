"""The encoder `history`: the past of several columns of the same entity, as equal steps of time up to the row itself.

Axes: N rows, M rows that the past is looked up in, T steps, F columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contract.kinds import FLOAT32_END, NUMBERS
from millrace.errors import WorkloadError
from millrace.features.as_of import HOUR_US, NONE, EntityTimes, as_of, entity_times, time_us
from millrace.features.encoder import Encoder
from millrace.features.parts import Meaning, Part, written
from millrace.features.signature import JOINED, TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.features.as_of import Integers
    from millrace.features.encoder import FeatureKind
    from millrace.workload.declaration import Feature, FeatureForm

    Floats = npt.NDArray[np.float32]

MOST_STEPS = 4096
STRETCHES = 24
"""The most stretches that an explanation divides a history into; each has several steps if there are more steps."""


@dataclass(frozen=True, kw_only=True)
class History(Encoder):
    """A tensor of its own (N, T, F), float32, with the name of the feature; NaN where nothing was known.

    The last step is the row itself. The past comes in two ways:

    - In training and scoring `add_steps` looks it up in other rows. It adds a column with a fixed list of T × F numbers
      for each row, and `encode` reads that column.
    - A request holds the past itself: `"past": [{"timestamp": …, "load": 1.5}, …]`."""

    kind: ClassVar[str] = "history"
    takes_features: ClassVar[str] = "a feature with history and hours"
    forms: ClassVar[tuple[FeatureForm | None, ...]] = ("history",)
    default_for: ClassVar[tuple[FeatureKind, ...]] = ("history",)
    history: tuple[str, ...]
    entity: tuple[str, ...]
    """The columns of the key without the event time."""
    event_time: str
    steps: int
    """T, the row itself included."""
    every_hours: float
    """The hours from one step to the next."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a feature with a `history` of columns of numbers.

        Raises WorkloadError if `hours` are no whole number of steps from 2 to MOST_STEPS, if the feature has the name
        of a column or of a shared tensor, and for a column that is no number."""
        assert feature.hours is not None  # as the declaration has it of a history
        steps = round(feature.hours / feature.every_hours)
        if not 2 <= steps <= MOST_STEPS or not math.isclose(steps * feature.every_hours, feature.hours):
            expected = f"2 to {MOST_STEPS} whole steps of every_hours in hours"
            came = f"hours: {feature.hours:g}, every_hours: {feature.every_hours:g}"
            raise WorkloadError(
                where="workload.yaml", field=f"prediction.features.{feature.name}", expected=expected, came=came
            )
        if feature.name in JOINED or feature.name in table.names:
            expected, field = "a name that no column and no other tensor has", "prediction.features"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=feature.name)
        # The past that a request brings lacks a derived column.
        for name in feature.history:
            if (column := table.column(name)).kind not in NUMBERS or column.derived:
                came = f"a {'derived ' if column.derived else ''}{column.kind}"
                raise WorkloadError(where="contract.yaml", field=name, expected="a number in a history", came=came)
        return cls(
            name=feature.name,
            history=feature.history,
            entity=feature.entity,
            event_time=feature.event_time,
            steps=steps,
            every_hours=float(feature.every_hours),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.entity, self.event_time, *self.history)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.name, self.event_time, *self.history)

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype="float32", shape=(self.steps, len(self.history)))

    @property
    def hours(self) -> float:
        """How many hours the oldest step reaches back, its own width included."""
        return self.steps * self.every_hours

    @property
    def reach_hours(self) -> float:
        """How many hours before a row another one may lie that shows that its past is long enough.

        It is bounded: a request and a drop, which hold a part of the past, come to the same verdict as a training."""
        return 2 * self.hours

    def add_steps(self, rows: pa.Table, before: pa.Table | None = None) -> pa.Table:
        """`rows` with the column of their past, looked up in `before` and in `rows` themselves.

        Both tables must have the columns of `columns`. If both have a row of an entity at the same time, the row of
        `rows` counts. Rows that have the column already stay as they are."""
        import numpy as np

        if self.name in rows.column_names:
            return rows
        known = _known(rows, before, self.columns)
        here, there = entity_times([rows, known], entity=self.entity, event_time=self.event_time)
        values_MF = np.column_stack([_numbers(known[name]) for name in self.history])
        steps = self._look_up(here, there, values_MF).reshape(-1)
        return rows.append_column(self.name, self._column(steps))

    def is_too_short(self, rows: pa.Table, before: pa.Table | None = None) -> npt.NDArray[np.bool_]:
        """Whether the past of each row is too short (N).

        It is if no row of its entity lies at the oldest step, or before it within `reach_hours`."""
        import numpy as np

        known = _known(rows, before, [*self.entity, self.event_time])
        here, there = entity_times([rows, known], entity=self.entity, event_time=self.event_time)
        oldest = np.array([round((self.steps - 1) * self.every_hours * HOUR_US)], dtype=np.int64)
        tolerance_us = round(self.reach_hours * HOUR_US) - int(oldest[0])
        [found_N] = as_of(here, there, distances_T=oldest, tolerance_us=tolerance_us)
        short_N: npt.NDArray[np.bool_] = found_N == NONE
        return short_N

    def encode(self, rows: pa.Table) -> Floats:
        """The steps of all rows (N, T, F), from the column of `add_steps`. Raises KeyError without that column."""
        import numpy as np

        cells = rows[self.name].combine_chunks()
        flat = cells.flatten()
        if flat.null_count:
            flat = flat.fill_null(math.nan)
        found: Floats = np.from_dlpack(flat).view(np.float32)
        return found.reshape(len(cells), self.steps, len(self.history))

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether each row has a past in the form of `add_steps`, with numbers that are finite or null (N)."""
        import numpy as np
        import pyarrow as pa

        cells = rows[self.name].combine_chunks()
        if cells.type != pa.list_(pa.float32(), self.steps * len(self.history)):
            return np.zeros(len(cells), np.bool_)
        there_N = cells.is_valid().to_numpy(zero_copy_only=False)
        # A missing list becomes a list of nulls, and a null 0, so that all rows have the same length for `reshape`.
        flat = np.from_dlpack(cells.fill_null([None] * cells.type.list_size).flatten().fill_null(0.0))
        taken_N: npt.NDArray[np.bool_] = there_N & np.isfinite(flat).reshape(len(cells), -1).all(axis=1)
        return taken_N

    def encode_one(self, row: Mapping[str, Any]) -> Floats:
        """The steps of one row (T, F).

        The row has the past as a request writes it, or as the T × F numbers of `add_steps`, null for unknown ones."""
        import numpy as np

        cell = row.get(self.name)
        if isinstance(cell, list) and cell and not isinstance(cell[0], dict):
            return self._flat(cell)
        # The request's past is one entity; its last entry is the row itself, which looks it up.
        times, values = self._entries(row)
        known = np.array(values, dtype=np.float64).astype(np.float32)
        steps: Floats = self._look_up(_entities(times[-1:], [1]), _entities(times, [len(times)]), known)[0]
        return steps

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """A part for each column and stretch of steps, the oldest stretch first; hours are counted from the row."""
        import numpy as np

        steps_TF = self.encode_one(row)
        # Steps in one stretch: steps / STRETCHES, rounded up.
        together = -(-self.steps // STRETCHES)
        # Counted from the newest step, so that only the oldest stretch may be shorter; then numbered from the oldest.
        stretch_T = (self.steps - 1 - np.arange(self.steps)) // together
        stretch_T = stretch_T.max() - stretch_T
        features = len(self.history)
        # In the order of `of_entry` below: stretch by stretch, and in each the columns.
        parts = [
            Part(column=column, place=self._hours(steps), value=_mean(steps_TF[steps, place]), kind="hours")
            for steps in (np.flatnonzero(stretch_T == stretch) for stretch in range(int(stretch_T[-1]) + 1))
            for place, column in enumerate(self.history)
        ]
        return Meaning(parts=tuple(parts), of_entry=stretch_T[:, None] * features + np.arange(features))

    def _hours(self, steps: npt.NDArray[np.integer[Any]]) -> str:
        """How far before the row the steps lie, in words: "-3 h", "-5 to -3 h"."""
        first, last = ((int(step) - self.steps + 1) * self.every_hours for step in steps[[0, -1]])
        return f"{first:g} h" if first == last else f"{first:g} to {last:g} h"

    def add_requested(self, rows: pa.Table, requests: Sequence[Mapping[str, Any]]) -> pa.Table:
        """`rows` with the column of `add_steps`, looked up in the past that each request carries.

        For a request with a past of another form, every step is unknown."""
        import numpy as np

        # Every request is an entity of its own, so one look-up serves all of them.
        times: list[int] = []
        values: list[list[float]] = []
        counts: list[int] = []
        for request in requests:
            try:
                found = self._entries(request)
            except ValueError:
                found = [0], [[math.nan] * len(self.history)]
            times += found[0]
            values += found[1]
            counts.append(len(found[0]))
        own = [times[last - 1] for last in np.cumsum(counts)]
        known = np.array(values, dtype=np.float64).astype(np.float32).reshape(-1, len(self.history))
        steps = self._look_up(_entities(own, [1] * len(own)), _entities(times, counts), known).reshape(-1)
        return rows.append_column(self.name, self._column(steps))

    def repeated(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """The places of the entries in a request's past with a time that an earlier entry has; () without one.

        Of rows at the same time the first counts, as in a drop, which quarantines the others."""
        first: dict[int, int] = {}
        times = enumerate(self._time(entry) for entry in row.get(self.name) or ())
        return tuple(place for place, time in times if first.setdefault(time, place) != place)

    def is_request_too_short(self, row: Mapping[str, Any]) -> bool:
        """Whether a request's past does not reach back to the oldest step. Works without numpy.

        Raises ValueError for a past of another form."""
        cell = row.get(self.name)
        if not isinstance(cell, list):
            raise ValueError("a list of rows")
        ages = [self._time(row) - self._time(entry) for entry in cell]
        oldest, reach = (self.steps - 1) * self.every_hours, self.reach_hours
        return not any(round(oldest * 3_600_000_000) <= age < round(reach * 3_600_000_000) for age in ages)

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{column}" for column in self.history)

    def summarise(self, rows: pa.Table) -> pa.Table:
        """The mean of each column over its known steps; null if fewer than half of the steps are known.

        So a sensor that falls silent shows as missing values, whatever its last values were."""
        import numpy as np
        import pyarrow as pa

        tensor = self.encode(rows).astype(np.float64)
        known = ~np.isnan(tensor)
        count = known.sum(axis=1)
        sums = np.where(known, tensor, 0.0).sum(axis=1)
        means = np.divide(sums, count, out=np.full_like(sums, np.nan), where=2 * count >= self.steps)
        columns = [pa.array(means[:, place], pa.float64(), from_pandas=True) for place in range(len(self.history))]
        return pa.table(dict(zip(self.watched, columns, strict=True)))

    def _column(self, steps: Floats) -> pa.Array:
        """The numbers of all rows, one row after the other, as a column with a fixed list of T × F for each row."""
        import pyarrow as pa

        numbers = pa.array(steps, pa.float32(), from_pandas=True)  # NaN becomes null
        return pa.FixedSizeListArray.from_arrays(numbers, self.steps * len(self.history))

    def _look_up(self, here: EntityTimes, there: EntityTimes, values_MF: Floats) -> Floats:
        """The steps (N, T, F), the oldest first. Every way to a history calls this to find the row of a step."""
        import numpy as np

        every_us = round(self.every_hours * HOUR_US)
        distances_T: Integers = np.arange(self.steps - 1, -1, -1, dtype=np.int64) * every_us
        # One step at a time: the indices of all steps would take more memory than the values that they find.
        # A row of NaN is added at the end, so that the index NONE, -1, finds it.
        known = np.concatenate([values_MF, np.full((1, values_MF.shape[1]), np.nan, dtype=np.float32)])
        found: Floats = np.empty((len(here), self.steps, values_MF.shape[1]), dtype=np.float32)
        for step, index_N in enumerate(as_of(here, there, distances_T=distances_T, tolerance_us=every_us)):
            found[:, step] = known[index_N]
        return found

    def _entries(self, row: Mapping[str, Any]) -> tuple[list[int], list[list[float]]]:
        """The times (microseconds since 1970) and the values of a request's past; the row itself is the last entry.

        Raises ValueError for a past of another form."""
        cell = row.get(self.name)
        if not isinstance(cell, list):
            raise ValueError(f"a list of rows, or of {self.steps * len(self.history)} numbers")
        # The row itself counts before any entry of its time, and of other entries at one time the first.
        entries = [(self._time(row), row), *((self._time(entry), entry) for entry in cell)]
        known: dict[int, list[float]] = {}
        for time, entry in entries:
            known.setdefault(time, [_number(entry.get(name)) for name in self.history])
        (own, values), *others = known.items()
        return [*(time for time, _ in others), own], [*(past for _, past in others), values]

    def _flat(self, cell: Sequence[Any]) -> Floats:
        import numpy as np

        size = self.steps * len(self.history)
        if len(cell) != size:
            raise ValueError(f"{size} numbers")
        return np.array([_number(value) for value in cell], dtype=np.float64).astype(np.float32).reshape(self.steps, -1)

    def _time(self, entry: Any) -> int:
        return time_us(entry, self.event_time)


def _known(rows: pa.Table, before: pa.Table | None, columns: Sequence[str]) -> pa.Table:
    """The columns of `before` and of `rows`; text is large in the lake and plain in a file.

    `rows` come last, as of rows at the same time `as_of` takes the last one."""
    import pyarrow as pa

    names = list(dict.fromkeys(columns))
    tables = [table.select(names) for table in (before, rows) if table is not None]
    return pa.concat_tables(tables, promote_options="permissive")


def _number(cell: Any) -> float:
    """The cell as a number, NaN for None. Raises ValueError for anything that is no finite number of float32."""
    if cell is None:
        return math.nan
    if type(cell) not in (int, float) or not -FLOAT32_END < cell < FLOAT32_END:
        raise ValueError("finite numbers of float32, or null, in the past")
    return float(cell)


def _mean(cells: Floats) -> str:
    """The mean of the known cells, as a part of an explanation shows it."""
    import numpy as np

    known = cells[~np.isnan(cells)]
    return written(float(known.mean()) if len(known) else None)


def _numbers(column: Any) -> Floats:
    """The cells of a column as float32, NaN for null."""
    # By float64, the way that a number of a JSON request takes: so both round alike.
    import numpy as np
    import pyarrow as pa

    cells = column.cast(pa.float64(), safe=False).combine_chunks().fill_null(math.nan)
    with np.errstate(over="ignore"):
        return np.from_dlpack(cells).view(np.float64).astype(np.float32)


def _entities(times: Sequence[int], counts: Sequence[int]) -> EntityTimes:
    """Times of several entities one after the other: the first `counts[0]` belong to the first entity, and so on."""
    import numpy as np

    entity_N = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return EntityTimes(entity_N=entity_N, time_N=np.array(times, dtype=np.int64))
