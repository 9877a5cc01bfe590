"""Takes a person out of the Iceberg tables: rows leave, the snapshots that had them go, and then their files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from pyiceberg.expressions import AlwaysFalse, And, BooleanExpression, In, NotNull, Or
from pyiceberg.table import Table as IcebergTable

from millrace.aws.objects import split_uri
from millrace.datasets.changes import Change, change
from millrace.datasets.expiry import expire, reachable
from millrace.datasets.notes import DIGEST, WRITTEN_BY
from millrace.datasets.tables import Lake, as_of, types_in
from millrace.datasets.versions import Pin, unpin_erased
from millrace.datasets.withdrawal import matching, take_out
from millrace.erasure.files import Person
from millrace.erasure.objects import delete, is_named, versions
from millrace.names import TABLES

UNCOMMITTED = timedelta(hours=1)
"""How old a data file must be that no snapshot has named: a younger one may be of a commit that is under way."""
NUMBERS = ("int", "long", "float", "double")
"""Iceberg's types of numbers."""
EVER, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class PersonInTables:
    """The person's rows, labels and dataset versions. `s3` is boto3's client."""

    def __init__(self, lake: Lake, s3: Any, person: Person) -> None:
        self._lake, self._s3, self._person = lake, s3, person
        self._tables = {one: found for one in TABLES if (found := lake.find(one)) and found.current_snapshot()}
        metadata = self._tables["rows"].metadata if "rows" in self._tables else None
        kept = {tag: pin for tag in metadata.refs if (pin := Pin.of(metadata, tag))} if metadata else {}
        self._theirs = {table: self._own(found) for table, found in self._tables.items()}
        if "labels" in self._tables and metadata:
            self._add_labels_of_rows({pin.rows for pin in kept.values()})
        self.versions = tuple(
            tag for tag, pin in kept.items() if self._has("rows", pin.rows) or self._has("labels", pin.labels)
        )
        """The tags of the dataset versions that have rows or labels of the person."""

    def erase(self, cause: str) -> Iterator[tuple[str, int]]:
        """By table the numbers of rows that leave next. Then no snapshot, and no version of a file, has the person.

        The dataset versions that had them go, and a property says so. The others stay, and the current snapshots.
        Raises ConflictError if other writers win every time."""
        named = {split_uri(uri)[1] for table in self._tables.values() for uri in reachable(table, EVER)}
        # A call that goes on takes what has come since: it repeats no other one.
        notes = {WRITTEN_BY: cause, DIGEST: uuid4().hex}
        # Labels first: some are found by the rows, which must still be there when a call has died.
        for table in sorted(self._theirs):
            leave = partial(take_out, self._lake, table, lambda _: self._theirs[table], notes)  # noqa: B023 - at once
            yield table, leave(is_preview=True)
            leave()
        if self.versions:
            unpin_erased(self._lake, self.versions)
        for table in self._tables:
            yield from self._delete_files(table, named)

    def _own(self, iceberg: IcebergTable) -> BooleanExpression:
        """Which rows have one of the cells. A former column, or one from before a rewriting, may be of another type."""
        own: list[BooleanExpression] = [AlwaysFalse(), AlwaysFalse()]
        zeros = range(20) if self._person.is_number else (0,)  # a text that became a number may have some in front
        for name, kind in types_in(iceberg).items():
            fit = filter(str.isdecimal if kind in NUMBERS else None, self._person.cells.get(name, ()))
            cells = {cell.zfill(digits) for cell in fit for digits in zeros if kind in (*NUMBERS, "string")}
            # Without NotNull, pyiceberg would keep a row of theirs in which any other column of the filter is null.
            own.append(And(NotNull(term=name), In(term=name, literals=cells)))
        return Or(*own)

    def _add_labels_of_rows(self, pinned: Collection[int]) -> None:
        """Labels are theirs by their decision, by the cell, or by the key of a row of theirs, also of a pinned one."""
        labels = types_in(self._tables["labels"]).items()
        for snapshot in (None, *pinned):
            rows = as_of(self._tables["rows"], snapshot)
            names = {name for name, _ in types_in(rows).items() & labels}
            if key := next((key for key in self._lake.contract.rows.keys if names >= set(key)), ()):
                scan = rows.scan(row_filter=self._own(rows), selected_fields=key)
                of_rows = And(*(NotNull(term=name) for name in key), matching(scan.to_arrow().drop_null(), key))
                self._theirs["labels"] = Or(self._theirs["labels"], of_rows)

    def _has(self, table: str, snapshot: int | None) -> bool:
        if snapshot is None:
            return False
        then = as_of(self._tables[table], snapshot)
        return then.scan(row_filter=self._own(then)).count() > 0

    def _delete_files(self, table: str, named: Collection[str]) -> Iterator[tuple[str, int]]:
        """Let snapshots expire, and delete files that the table reaches no more: manifests, and the person's data."""
        bucket, folder = split_uri(f"{self._lake.location(table)}/")
        # Files that are there before the next snapshot, and that the table does not reach after it, are of no later
        # commit: one that was under way fails. Only data files may be of several attempts. And the manifest of the
        # snapshot before names the files that it has removed, with their least and greatest cells.
        there = list(versions(self._s3, bucket, folder))
        change(self._lake, table, lambda attempt: bool(attempt.apply(Change(notes={}))), without=False)
        expire(self._lake, table, before=LAST)
        iceberg = self._lake.find(table)
        assert iceberg is not None, "and it may have other columns than the contract"
        reached = {split_uri(uri)[1] for uri in reachable(iceberg, EVER)}
        old = datetime.fromtimestamp(iceberg.metadata.last_updated_ms / 1000, UTC) - UNCOMMITTED
        for one in there:
            key, is_latest = one["Key"], one["IsLatest"]
            is_free = key in named or not is_latest or one["LastModified"] < old
            if not (is_latest and key in reached) and (
                key.endswith(".avro")
                or (key.endswith(".parquet") and is_free and is_named(self._s3, bucket, one, self._person))
            ):
                delete(self._s3, bucket, one)
            yield "", 0
