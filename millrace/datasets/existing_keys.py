"""The keys that a table holds, as far as a drop can meet them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.validate import Keys, Refused, key_of, refuse_known
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable


def held_keys(lake: Lake, table: str, iceberg: IcebergTable | None, rows: pa.Table) -> tuple[Keys, ...]:
    """For each key of the contract what the table holds of it between the least and the greatest of `rows`."""
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return ()
    held = []
    for columns in lake.contract_of(table).keys:
        found = iceberg.scan(row_filter=_between(rows, columns[0]), selected_fields=columns).to_arrow()
        held.append(Keys(columns=columns, values=key_of(found, columns)))
    return tuple(held)


def held_in_file(lake: Lake, table: str, iceberg: IcebergTable | None, parsed: Path) -> tuple[Keys, ...]:
    """As `held_keys`, for the rows of a Parquet file of which only the keys are read."""
    import pyarrow.parquet as pq

    columns = sorted({name for key in lake.contract_of(table).keys for name in key})
    if iceberg is None or not columns:
        return ()
    return held_keys(lake, table, iceberg, pq.read_table(parsed, columns=columns))


def refuse_held(lake: Lake, table: str, iceberg: IcebergTable, rows: pa.Table) -> tuple[pa.Table, tuple[Refused, ...]]:
    """The rows whose keys are still new, and the others with the reason `duplicate_key`."""
    verdict = refuse_known(rows, held_keys(lake, table, iceberg, rows))
    return verdict.accepted, verdict.refused


def _between(rows: pa.Table, column: str) -> BooleanExpression:
    """Files and row groups outside of the drop's range are not read."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThanOrEqual

    kind = rows.schema.field(column).type
    extremes = pc.min_max(rows.column(column)).as_py()
    if extremes["min"] is None or not (pa.types.is_integer(kind) or pa.types.is_temporal(kind)):
        return AlwaysTrue()
    low, high = extremes["min"], extremes["max"]
    if pa.types.is_temporal(kind):
        low, high = low.isoformat(), high.isoformat()
    return And(GreaterThanOrEqual(term=column, value=low), LessThanOrEqual(term=column, value=high))
