"""The encoder `calendar`: the hour, the weekday and the month of a time, as categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contract.kinds import TIMES
from millrace.errors import WorkloadError
from millrace.features.encoder import OneColumn, is_valid
from millrace.features.parts import MISSING, Meaning, Part
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.features.encoder import FeatureKind
    from millrace.workload.declaration import Feature, FeatureForm

    Integers = npt.NDArray[np.int64]

VALUES = {"hour": 24, "weekday": 7, "month": 12}
"""The parts of a calendar with their numbers of values, in the order of the tensor."""


@dataclass(frozen=True, kw_only=True)
class Calendar(OneColumn):
    """Up to three columns of the tensor `categories` (N, C), int64: 0 is missing, values are counted from 1.

    `{name: when, calendar: timestamp, parts: [hour, weekday]}` reads the column `timestamp`. 1996-05-07T13:30, a
    Tuesday, becomes hour 14 and weekday 2. A time with a zone is read in UTC, a time without a zone as it is. The parts
    are categories, not sine and cosine: an hour may differ from both of its neighbours, as shops open and shifts
    begin."""

    kind: ClassVar[str] = "calendar"
    takes_features: ClassVar[str] = "a column of times"
    forms: ClassVar[tuple[FeatureForm | None, ...]] = (None, "calendar")
    default_for: ClassVar[tuple[FeatureKind, ...]] = (*TIMES, "calendar")
    calendar: str
    """The column of times."""
    parts: tuple[str, ...]
    """The parts that are encoded, in the order of VALUES."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a column of times, or for a feature that names one as its `calendar`; None for other columns.

        Raises WorkloadError if the named column has no times, and if the feature has the name of another column."""
        column = table.column(feature.calendar or feature.name)
        if column.kind not in TIMES and not feature.calendar:
            return None
        if column.kind not in TIMES:
            expected, came = "a time for a calendar", f"a {column.kind}"
            raise WorkloadError(where="contract.yaml", field=column.name, expected=expected, came=came)
        if feature.name != column.name and feature.name in table.names:
            expected, field = "a name that no other column has", "prediction.features"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=feature.name)
        parts = tuple(part for part in VALUES if part in feature.parts or not feature.parts)
        return cls(name=feature.name, calendar=column.name, parts=parts, optional=not column.required)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.calendar,)

    @property
    def spec(self) -> TensorSpec:
        cardinalities = tuple(VALUES[part] + 1 for part in self.parts)
        return TensorSpec(name="categories", dtype="int64", shape=(len(self.parts),), cardinalities=cardinalities)

    def encode(self, rows: pa.Table) -> Integers:
        """The parts of each time: (N, parts)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        cells = rows[self.calendar].combine_chunks()
        kind = pa.timestamp("us", cells.type.tz if pa.types.is_timestamp(cells.type) else None)
        # In UTC and without a zone, for which Arrow would need a database of time zones, which the images lack.
        times = cells.cast(kind).cast(pa.int64()).cast(pa.timestamp("us"))
        counted = {"hour": pc.hour(times), "weekday": pc.day_of_week(times), "month": pc.subtract(pc.month(times), 1)}
        return np.column_stack([np.from_dlpack(counted[part].fill_null(-1)) for part in self.parts]) + 1

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        import numpy as np
        import pyarrow as pa

        cells = rows[self.calendar].combine_chunks()
        # A time in another unit may have no exact value in microseconds: it is too far, or lies between two of them.
        is_time = pa.types.is_date(cells.type) or (pa.types.is_timestamp(cells.type) and cells.type.unit == "us")
        return is_valid(cells) | self.optional if is_time else np.zeros(len(cells), np.bool_)

    def encode_one(self, row: Mapping[str, Any]) -> list[int]:
        """The parts of one time: ISO text, or a time if the row comes from a table."""
        cell = row[self.calendar]
        if cell is None and self.optional:
            return [0] * len(self.parts)
        at = _time(cell)
        found = {"hour": at.hour, "weekday": at.weekday(), "month": at.month - 1}
        return [found[part] + 1 for part in self.parts]

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        import numpy as np

        values = self.encode_one(row)
        # Counted as people count: hours from 0, weekdays from 1 for Monday, months from 1 for January.
        pairs = zip(self.parts, values, strict=True)
        counted = [(part, value - (part == "hour") if value else MISSING) for part, value in pairs]
        found = tuple(Part(column=self.calendar, place=part, value=str(value)) for part, value in counted)
        return Meaning(parts=found, of_entry=np.arange(len(values)))

    @property
    def watched(self) -> tuple[str, ...]:
        """The hour alone. Weekday and month differ from window to window even if nothing has drifted."""
        return (f"{self.name}.hour",) if "hour" in self.parts else ()

    def summarise(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        # The hour is the first part wherever it is one.
        hours = self.encode(rows)[:, :1]
        cells = pa.array(hours[:, 0] - 1, pa.int64(), mask=hours[:, 0] == 0)
        return pa.table(dict.fromkeys(self.watched, cells))


def _time(cell: object) -> datetime:
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 - a date has no zone
    try:
        at = cell if isinstance(cell, datetime) else datetime.fromisoformat(cell) if isinstance(cell, str) else None
        if at is not None:
            return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last hours of the calendar may overflow in another zone
        pass
    raise ValueError("a time as ISO text")
