"""What a job has judged, on its way into the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pyarrow.compute as pc
from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable

from millrace.aws.objects import split_uri
from millrace.contract.deduplicate import key_of
from millrace.contract.reasons import Reason
from millrace.datasets.expiry import GRACE
from millrace.datasets.known_rows import files_since
from millrace.datasets.new_rows import NewRows, comparable, extremes, unlabelled, within
from millrace.datasets.tables import Lake, rows_of, stored_file
from millrace.errors import TableMovedError
from millrace.messages.bulk import BulkResult

LIFE = GRACE - timedelta(days=1)
"""How old a result may be: upkeep deletes its data files, which a job may write for half a day, after GRACE."""
MOST_ROWS, MOST_BYTES = 2_000_000, 4 * 2**30
"""The most rows whose keys have changed that are compared one by one with the drop's, and the bytes of those to read.

Beyond them the keys count as common."""


def rows_of_job(s3: Any, uri: str, lake: Lake, iceberg: IcebergTable) -> NewRows:
    """The data files and the numbers of quarantined rows. Raises TableMovedError if they do not hold any more."""
    result, is_valid = found(s3, uri, lake, iceberg)
    if not is_valid:
        raise TableMovedError(f"expected {iceberg.name()} as of {result.snapshot_id}, it has other keys now")
    files = tuple(stored_file(iceberg, uri) for uri in result.files)
    return NewRows(files=files, quarantined=result.quarantined, unlabelled=unlabelled(lake, iceberg, files))


def found(s3: Any, uri: str, lake: Lake, iceberg: IcebergTable) -> tuple[BulkResult, bool]:
    """The job's result at the URI, and whether it holds: its files are kept yet, and no key has changed that it has.

    `s3` is boto3's client."""
    bucket, key = split_uri(uri)
    answer = s3.get_object(Bucket=bucket, Key=key)
    age = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) - answer["LastModified"]
    result = BulkResult.model_validate_json(answer["Body"].read())
    # Without a row there is no key.
    return result, not result.rows or (age < LIFE and not _has_moved(result, lake, iceberg))


def _has_moved(result: BulkResult, lake: Lake, iceberg: IcebergTable) -> bool:
    """Whether a key that the drop has came into the table since the job began, or one that has refused a row left it.

    Only data files with keys in the range of the drop are read; a key that cannot be compared has no range."""
    changed = files_since(iceberg, result.snapshot_id or None)
    for columns, range_ in zip(lake.contract.rows.keys, result.bounds, strict=True):
        is_near = _evaluator(iceberg, columns[0], range_)
        near = [(sign, file) for _, sign, file in changed or () if is_near(file)]
        if near and _shares(result, columns, near, iceberg):
            return True
    return changed is None  # a snapshot since then has expired


def _shares(
    result: BulkResult, columns: tuple[str, ...], near: Sequence[tuple[int, DataFile]], iceberg: IcebergTable
) -> bool:
    """Whether files that came (1) or left (-1) changed one of the drop's keys. A compaction changes none."""
    if sum(file.record_count for _, file in near) > MOST_ROWS:
        return True
    came, left = (rows_of(iceberg, [file for sign, file in near if sign == wanted], columns) for wanted in (1, -1))
    now, before = (key_of(rows, columns).drop_null() for rows in (came, left))
    if result.quarantined.get(Reason.DUPLICATE_KEY) and not pc.all(pc.is_in(before, now), min_count=0).as_py():
        return True
    new = now.filter(pc.invert(pc.is_in(now, before)))
    bounds = extremes(came, columns[0])
    is_text = bounds is not None and isinstance(bounds[0], str)
    may_hold = _evaluator(iceberg, columns[0], bounds if is_text else comparable(bounds))
    own = [file for file in (stored_file(iceberg, uri) for uri in result.files) if len(new) and may_hold(file)]
    fields = [iceberg.schema().find_field(name).field_id for name in columns]
    if sum((file.column_sizes or {}).get(field, 0) for file in own for field in fields) > MOST_BYTES:
        return True
    keys = (key_of(rows_of(iceberg, [file], columns), columns) for file in own)
    return any(pc.any(pc.is_in(each, new)).as_py() for each in keys)


def _evaluator(iceberg: IcebergTable, column: str, range_: tuple[Any, Any] | None) -> Callable[[DataFile], bool]:
    """Whether a data file may hold rows with the column in this range."""
    return _InclusiveMetricsEvaluator(iceberg.schema(), within(column, range_)).eval
