"""Finds the rows of a drop that are new to a table: they keep the contract, and the table holds none of their keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
    NotEqualTo,
    NotNull,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable

from millrace.contract.deduplicate import Keys, Repeated, key_beside, key_of
from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import ARRIVED, SOURCE, Table
from millrace.contract.validate import Validator
from millrace.datasets.iceberg import may_hold
from millrace.datasets.labels import current, value_columns
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake, NewDataFile, with_former
from millrace.packing import packed

Accept = Callable[["pa.Table"], object]
"""Takes accepted rows, a part at a time."""
NARROWED = 1_000_000
"""Up to so many rows of a drop only their own keys are looked for in the table: texts or corrections may reach over all
of it. For a larger drop all keys in its range are held."""
Quarantine = Callable[[], AbstractContextManager[QuarantineFile]]
"""Opens a new quarantine file for each attempt; the file is kept when its block ends."""
Among = tuple[tuple[str, ...], Callable[[], "pa.Table"]]
"""The columns of a key, and what reads the rows whose keys are looked for."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where rows come from: one version of an object, or a run that joins labels."""

    uri: str
    """The object and its version."""
    key: str
    """The object's key in the landing bucket, which is kept with every row."""
    digest: str
    """SHA-256 of the object's bytes, or of a text that says which rows these are."""
    written_by: str
    """The drop's id, or the name of the run that joins labels."""
    sequencer: str = ""
    """S3's sequencer, which says which version of the key is the later one; empty if nobody knows."""
    arrived: datetime | None = None
    """When the object came, with a time zone."""

    @property
    def replaceable(self) -> str:
        """The landing key whose rows these rows replace, so its keys do not count as known; empty for none."""
        return self.key if self.sequencer else ""


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Rows that the table can take as it is now, since it holds none of their keys."""

    files: tuple[DataFile, ...]
    """The uploaded data files; none if no row is left."""
    quarantined: RowsByReason
    """The other rows, by reason."""
    unlabelled: int = 0
    """How many rows of the files have no label yet."""
    labelled_before: int = 0
    """How many labels of the files are of keys that have a label already."""


class RowsInFile:
    """Writes the good rows of a drop, with keys that the table does not hold, as one data file of the table.

    `write` is called again after another writer has won. The rows are then judged anew only if the table has got other
    keys in the range of the drop."""

    def __init__(
        self, lake: Lake, table: str, contract: Table, *, parsed: Path, source: Source, quarantine: Quarantine
    ) -> None:
        """`contract` is the contract of the table, with bounds of this drop's own: see `future.up_to`."""
        self._lake, self._table, self._contract = lake, table, contract
        self._parsed, self._source, self._quarantine = parsed, source, quarantine
        self._held: tuple[Keys, ...] = ()
        self._written: tuple[int, NewRows] | None = None

    def write(self, iceberg: IcebergTable) -> NewRows:
        """The data file and the numbers of quarantined rows. These rows are in the quarantine when this returns."""
        # A key of which the table holds nothing in this range refuses no row.
        found = existing_keys(self._lake, self._table, iceberg, self._parsed, but_of=self._source.replaceable)
        held = tuple(keys for keys in found if len(keys.values))
        # A file names the columns by the ids of its schema, which another writer may have changed.
        schema = iceberg.schema().schema_id
        if self._written is None or self._written[0] != schema or not _same(held, self._held):
            self._held = held
            self._written = schema, self._screen(iceberg)
        return self._written[1]

    def _screen(self, iceberg: IcebergTable) -> NewRows:
        """Judge the rows, write the data file and the quarantine file, and upload both."""
        file = NewDataFile(iceberg, self._parsed.with_name("rows"))
        labelled, labelled_before = self._labelled(iceberg), 0

        def accept(part: pa.Table) -> None:
            nonlocal labelled_before
            file.add(with_source(part, self._source))
            labelled_before += int(_among(part, labelled).sum())

        with self._quarantine() as refused:
            rows = screen(self._parsed, self._contract, accept, refused, held=self._held)
        stored = file.store() if rows else None
        files = (stored,) if stored else ()
        return NewRows(
            files=files,
            quarantined=refused.reasons,
            unlabelled=unlabelled(self._lake, iceberg, files) if self._table == "rows" else 0,
            labelled_before=labelled_before if stored else 0,
        )

    def _labelled(self, labels: IcebergTable) -> list[Keys]:
        """The keys in the range of a drop of labels that have a label: in the table of labels, and in that of rows."""
        if self._table != "labels":
            return []
        key = next(key for key in self._contract.keys if key in self._lake.contract.rows.keys)
        bounds, filled = footer_bounds(pq.read_metadata(self._parsed), key[0]), value_columns(self._contract)
        # Without a held key the table of labels has none in this range either.
        tables = (labels if self._held else None, self._lake.find("rows"))
        found = [
            rows_within(table, key[0], bounds, key, but_of=self._source.replaceable, filled=filled)
            for table in tables
            if table is not None
        ]
        return [Keys(columns=key, values=key_of(rows, key)) for rows in found]


def unlabelled(lake: Lake, iceberg: IcebergTable, files: Sequence[DataFile]) -> int:
    """The number of rows without a label in files of the table of rows, by the nulls that these have counted.

    With several labels it is the most nulls of one of them."""
    gaps = Counter[int]()
    for file in files:
        gaps.update(file.null_value_counts or {})
    return max(gaps[iceberg.schema().find_field(one.name).field_id] for one in lake.contract.label_columns)


class RowsInMemory:
    """Writes rows in memory, with keys that the table does not hold, as one data file of the table.

    The file is written anew only if the table has got another of their keys."""

    def __init__(self, lake: Lake, table: str, rows: pa.Table, source: Source, path: Path) -> None:
        self._lake, self._table, self._rows, self._source, self._path = lake, table, rows, source, path
        self._written: dict[tuple[int, int], DataFile | None] = {}

    def write(self, iceberg: IcebergTable) -> NewRows:
        """The data file, and the number of rows with a known key, which are left out."""
        pq.write_table(self._rows, self._path)
        held = existing_keys(self._lake, self._table, iceberg, self._path, but_of=self._source.replaceable)
        is_known = _among(self._rows, held)
        # Their number says which rows are new: a table only gains keys, so between two attempts there can be fewer new
        # rows, never others.
        new = self._rows.filter(pa.array(~is_known))
        if (this := (new.num_rows, iceberg.schema().schema_id)) not in self._written:
            file = NewDataFile(iceberg, self._path)
            file.add(with_source(new, self._source))
            self._written[this] = file.store()
        stored = self._written[this]
        known = {Reason.DUPLICATE_KEY: int(is_known.sum())} if is_known.any() else {}
        return NewRows(files=(stored,) if stored else (), quarantined=known)


def screen(
    parsed: Path,
    table: Table,
    accept: Accept,
    refused: QuarantineFile,
    *,
    held: tuple[Keys, ...] = (),
    repeated: Repeated | None = None,
) -> int:
    """The number of rows that went to `accept`, a part at a time and in order. All other rows went to `refused`."""
    rows, validator = 0, Validator(table, held=held, decodes=True, repeated=repeated)
    for part in parts(parsed, table):
        result = validator.judge(part)
        accept(result.accepted)
        refused.add(result.refused)
        rows += result.accepted.num_rows
    return rows


def parts(parsed: Path, table: Table, *, is_decoded: bool = False) -> Iterator[pa.Table]:
    """The rows of the file, one row group at a time: each is a part of the drop as ingestion read it.

    This bounds the memory. Texts that the file holds as a dictionary stay a dictionary, unless `is_decoded`. Checksums
    of pages are verified."""
    texts = set() if is_decoded else {column.name for column in table.columns if column.kind == "string"}
    words = _with_dictionary(pq.read_metadata(parsed), texts)
    with pq.ParquetFile(parsed, page_checksum_verification=True, read_dictionary=words) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _with_dictionary(metadata: pq.FileMetaData, texts: set[str]) -> list[str]:
    """The columns among `texts` that the file holds as a dictionary, by the sizes in its first row group."""
    if not metadata.num_row_groups:
        return []
    first = metadata.row_group(0)
    chunks = [first.column(place) for place in range(first.num_columns)]
    # Without a dictionary, the length alone takes four bytes for each text.
    return [
        chunk.path_in_schema
        for chunk in chunks
        if chunk.path_in_schema in texts and chunk.total_uncompressed_size < 4 * chunk.num_values
    ]


def with_source(rows: pa.Table, source: Source) -> pa.Table:
    """The rows with two more columns: the landing key that they came from, and when they came.

    If `rows` has a landing key for each row already, these keys stay."""
    if SOURCE not in rows.column_names:
        rows = rows.append_column(SOURCE, pa.repeat(pa.scalar(source.key), rows.num_rows))
    return rows.append_column(ARRIVED, pa.repeat(pa.scalar(source.arrived, pa.timestamp("us", "UTC")), rows.num_rows))


def existing_keys(
    lake: Lake, table: str, iceberg: IcebergTable | None, parsed: Path, *, but_of: str = ""
) -> tuple[Keys, ...]:
    """The keys of a Parquet file that the table holds, for each key of the contract; of more than NARROWED rows others
    too.

    The file's footer is read and, if need be, its keys. Rows of the landing key `but_of` do not count."""
    if iceberg is None or iceberg.current_snapshot() is None:
        return ()
    # The footer has the lowest and the highest value of each row group, so no row is read to know the range.
    footer, found = pq.read_metadata(parsed), list[Keys]()
    # Another value there makes a correction: of labels the label, of rows none, whose known key is always a duplicate.
    beside = value_columns(lake.contract.labels) if table == "labels" else ()
    for key in lake.contract_of(table).keys if footer.num_rows else ():
        own = partial(pq.read_table, parsed, columns=[*key], page_checksum_verification=True)
        selected = (*key, *beside, *((ARRIVED,) if beside else ()))
        among = (key, own) if footer.num_rows <= NARROWED else None
        bounds = footer_bounds(footer, key[0])
        held = rows_within(iceberg, key[0], bounds, selected, but_of=but_of, among=among)
        if beside:  # of labels with one key only the label that counts
            held = current(held, key, beside)
        found.append(Keys(columns=key, beside=beside, values=key_beside(held, key, beside)))
    return tuple(found)


def rows_within(
    iceberg: IcebergTable,
    column: str,
    bounds: tuple[Any, Any] | None,
    selected: tuple[str, ...],
    *,
    but_of: str,
    filled: Sequence[str] = (),
    among: Among | None = None,
) -> pa.Table:
    """The table's rows within the bounds of the column, without those of the landing key `but_of`.

    Of the columns `filled` none is null. Rows of other keys than those `among` are left out as they are read."""
    if (range_ := comparable(bounds)) is not None and not may_hold(iceberg, column, *range_):
        return schema_to_pyarrow(iceberg.schema().select(*selected), include_field_ids=False).empty_table()
    wanted = within(column, range_, but_of=but_of)
    for name in filled:
        wanted = And(wanted, NotNull(term=name))
    scan = iceberg.scan(row_filter=wanted, selected_fields=selected)
    if among is None:
        return scan.to_arrow()
    columns, own = among
    kinds = schema_to_pyarrow(iceberg.schema().select(*columns), include_field_ids=False)
    keys, reader = key_of(with_former(own(), kinds), columns).drop_null(), scan.to_arrow_batch_reader()
    parts = [reader.schema.empty_table()]
    # The keys become a hash table for each part, so it has as many rows as there are keys if a batch has fewer.
    for batches in packed(reader, (attrgetter("num_rows"), len(keys))):
        part = pa.Table.from_batches(batches)
        values = key_of(part, columns)
        parts.append(part.filter(pc.is_in(values, value_set=keys.cast(values.type))))
    return pa.concat_tables(parts)


def _among(rows: pa.Table, held: Sequence[Keys]) -> npt.NDArray[np.bool_]:
    """Whether each of the rows has one of these keys."""
    found = np.zeros(rows.num_rows, dtype=bool)
    for keys in held:
        own = key_beside(rows, keys.columns, keys.beside).cast(keys.values.type)
        found |= pc.is_in(own, value_set=keys.values, skip_nulls=True).to_numpy(zero_copy_only=False)
    return found


def extremes(rows: pa.Table, column: str) -> tuple[Any, Any] | None:
    """The lowest and the highest value of the column, None if it has none."""
    found = pc.min_max(rows.column(column)).as_py()
    return None if found["min"] is None else (found["min"], found["max"])


def footer_bounds(metadata: pq.FileMetaData, column: str) -> tuple[Any, Any] | None:
    """The lowest and the highest value of the column by the footer, None if a row group does not say them."""
    place = metadata.schema.names.index(column)
    groups = [metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups)]
    # A row group with nulls alone has no bounds and says nothing; one without statistics makes the range unknown.
    counted = [group for group in groups if group is None or group.num_values]
    if not counted or not all(group is not None and group.has_min_max for group in counted):
        return None
    try:
        return min(group.min for group in counted), max(group.max for group in counted)
    except OverflowError:
        return None  # a time outside of the years that Python has


def between(column: str, bounds: tuple[Any, Any] | None) -> BooleanExpression:
    """As `within`, for bounds that may not be comparable."""
    return within(column, comparable(bounds))


def within(column: str, range_: tuple[Any, Any] | None, *, but_of: str = "") -> BooleanExpression:
    """The filter for rows within these bounds of the column: Iceberg skips files and row groups outside of them.

    Without bounds it is a filter for all rows; rows of the landing key `but_of` are left out."""
    wanted: BooleanExpression = NotEqualTo(term=SOURCE, value=but_of) if but_of else AlwaysTrue()
    if range_ is None:
        return wanted
    low, high = range_
    return And(wanted, GreaterThanOrEqual(term=column, value=low), LessThanOrEqual(term=column, value=high))


def inside(schema: Schema, time: str, start: datetime | None, end: datetime | None) -> BooleanExpression:
    """The filter for times in [start, end), on a side that is None without a bound. Times without a zone are UTC."""
    if time not in schema.column_names:
        return AlwaysTrue()
    zone = "+00:00" if str(schema.find_type(time)) == "timestamptz" else ""
    low, high = (at and f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}{zone}" for at in (start, end))
    after = GreaterThanOrEqual(term=time, value=low) if low else AlwaysTrue()
    return And(after, LessThan(term=time, value=high)) if high else after


def comparable(bounds: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """The bounds as Iceberg takes them; None if it cannot compare them with its own, and would read all files.

    It can for whole numbers, dates and times."""
    if bounds is None or not isinstance(bounds[0], int | date) or isinstance(bounds[0], bool):
        return None
    low, high = (bound.isoformat() if isinstance(bound, date) else bound for bound in bounds)
    return low, high


def _same(held: tuple[Keys, ...], before: tuple[Keys, ...]) -> bool:
    """Whether the table holds the same keys as at the attempt before."""
    return len(held) == len(before) and all(
        one.values.equals(other.values) for one, other in zip(held, before, strict=True)
    )
