"""What a job has judged, on its way into the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.datasets.known_rows import AT_ONCE, files_since, rows_changed
from millrace.datasets.new_rows import NewRows, Source, unlabelled, within
from millrace.datasets.tables import Lake, data_file
from millrace.errors import TableMovedError
from millrace.messages.bulk import BulkResult

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable


class BulkRows:
    """The data files of a job. They hold as long as the table has the keys that the job has seen."""

    def __init__(self, lake: Lake, result: BulkResult, source: Source) -> None:
        self._lake, self._result, self._source = lake, result, source

    def write(self, iceberg: IcebergTable) -> NewRows:
        """The data files and the numbers of quarantined rows. Raises TableMovedError if they do not hold any more."""
        if not self.holds(iceberg):
            raise TableMovedError(f"expected {iceberg.name()} as of {self._result.snapshot_id}, it has other keys now")
        files = tuple(data_file(iceberg, **file.model_dump()) for file in self._result.files)
        return NewRows(
            files=files,
            quarantined=self._result.quarantined,
            unlabelled=unlabelled(self._lake, iceberg, files),
        )

    def holds(self, iceberg: IcebergTable | None) -> bool:
        """Whether no key in the range of the drop came into the table or left it since the job began.

        A key that cannot be compared has no range: then any change of it counts, and one of more than AT_ONCE rows."""
        files = files_since(iceberg, self._result.snapshot_id or None) if iceberg else None
        if iceberg is None or files is None or sum(file.record_count for _, _, file in files) > AT_ONCE:
            return False
        ranges = zip(self._lake.contract.rows.keys, self._result.bounds, strict=True)
        wanted = ((key, within(key[0], bounds, but_of=self._source.replaceable)) for key, bounds in ranges)
        return not any(rows_changed(iceberg, files, key, which).num_rows for key, which in wanted)
