"""Where a drop comes from: what its rows may need that is not in its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import LINE, Column, Table
from millrace.names import row_id_of

if TYPE_CHECKING:
    import pyarrow as pa

ID_DIGITS = 16
"""Of the digest in a generated id: 64 bits tell objects apart."""

RESOLUTION = timedelta(microseconds=1)
"""Of the times of typed rows."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One version of one object in the landing bucket."""

    name: str
    """Its key below the folder of its feed: `scans/a17.png`."""
    at: datetime
    """UTC; when the object was put there, which a generated column holds for rows without a time of their own."""
    digest: str
    """SHA-256 of its bytes, in hexadecimal digits."""
    fetch: Callable[[str, str], bytes]
    """The bytes of an object below the workload's `objects/`, by key and version; raises DropError."""

    @property
    def stem(self) -> str:
        """The name without its suffix, with its folders: `scans/a17`, since `other/a17.png` is another image."""
        folder, slash, file = self.name.rpartition("/")
        return folder + slash + (file.rpartition(".")[0] or file)


def image_columns(table: Table) -> tuple[Column, ...]:
    """The columns that the contract says images are in."""
    return tuple(column for column in table.columns if column.find(ImageFormat))


def fill_generated(rows: pa.Table, table: Table, origin: Origin) -> pa.Table:
    """The rows with what is made for a generated column where it holds nothing; again, the same."""
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
        else:
            after = pc.multiply(rows.column(LINE), column.time_step // RESOLUTION).cast(pa.duration("us"))
            made = pc.add(pa.scalar(column.first_time(origin.at), kind), after)
        rows = rows.set_column(place, rows.schema.field(place), pc.coalesce(rows.column(place), made))
    return rows
