"""What a job has judged, on its way into the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.datasets.known_rows import files_since
from millrace.datasets.new_rows import NewRows, unlabelled, within
from millrace.datasets.tables import Lake, stored_file
from millrace.errors import TableMovedError
from millrace.messages.bulk import BulkResult

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable


def rows_of_job(result: BulkResult, lake: Lake, iceberg: IcebergTable) -> NewRows:
    """The data files and the numbers of quarantined rows. Raises TableMovedError if they do not hold any more."""
    if not holds(result, lake, iceberg):
        raise TableMovedError(f"expected {iceberg.name()} as of {result.snapshot_id}, it has other keys now")
    files = tuple(stored_file(iceberg, uri) for uri in result.files)
    return NewRows(files=files, quarantined=result.quarantined, unlabelled=unlabelled(lake, iceberg, files))


def holds(result: BulkResult, lake: Lake, iceberg: IcebergTable) -> bool:
    """Whether no data file with keys in the range of the drop came into the table or left it since the job began.

    A key that cannot be compared has no range: then any data file counts."""
    from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator

    files = files_since(iceberg, result.snapshot_id or None)
    ranges = zip(lake.contract.rows.keys, result.bounds, strict=True)
    may_hold = [_InclusiveMetricsEvaluator(iceberg.schema(), within(key[0], range_)).eval for key, range_ in ranges]
    # Without a row there is no key. There are no files if a snapshot since then has expired.
    has_moved = files is None or any(found(file) for _, _, file in files for found in may_hold)
    return not (result.rows and has_moved)
