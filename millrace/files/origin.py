"""The origin of a drop: what its rows may need that is not in its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import LINE, PREDICTION_ID, Column, Table
from millrace.names import row_id_of

if TYPE_CHECKING:
    import pyarrow as pa

ID_DIGITS = 16
"""How many hexadecimal digits of the digest a generated id has: 64 bits tell objects apart."""

RESOLUTION = timedelta(microseconds=1)
"""The resolution of times in typed rows."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The object of a drop: one version of it in the landing bucket."""

    name: str
    """The object's key below the folder of its feed: `scans/a17.png`."""
    at: datetime
    """When the object was put there, in UTC. A generated column holds it for rows without a time of their own."""
    digest: str
    """SHA-256 of the object's bytes, in hexadecimal digits."""
    fetch: Callable[[str, str], bytes]
    """Fetches the bytes of an object below the workload's `objects/`, by key and version. Raises DropError."""

    @property
    def stem(self) -> str:
        """The name with its folders, without its suffix: `scans/a17`, since `other/a17.png` is another image."""
        folder, slash, file = self.name.rpartition("/")
        return folder + slash + (file.rpartition(".")[0] or file)


def image_columns(table: Table) -> tuple[Column, ...]:
    """The columns that hold images, by the contract."""
    return tuple(column for column in table.columns if column.find(ImageFormat))


def fill_generated(rows: pa.Table, table: Table, origin: Origin) -> pa.Table:
    """The rows, with generated values in the empty cells of generated columns.

    They depend on the origin and the row's line alone, so a repeated ingestion makes the same ones: with `row_id`, line
    17 gets an id such as `9f86d081884c7d65-17`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in table.columns:
        if not column.generated:
            continue
        place = rows.column_names.index(column.name)
        kind = rows.schema.field(place).type
        if column.generated == "row_id":
            prefix = row_id_of(origin.digest[:ID_DIGITS], "")
            made = pc.binary_join_element_wise(prefix, pc.cast(rows.column(LINE), pa.string()), "")
        elif column.generated == PREDICTION_ID:
            made = rows.column(PREDICTION_ID)
        else:
            # Each row's distance from the time of the object: its line times the step, in microseconds.
            after = pc.multiply(rows.column(LINE), column.time_step // RESOLUTION).cast(pa.duration("us"))
            made = pc.add(pa.scalar(column.first_time(origin.at), kind), after)
        rows = rows.set_column(place, rows.schema.field(place), pc.coalesce(rows.column(place), made))
    return rows
