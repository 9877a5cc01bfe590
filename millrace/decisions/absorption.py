"""Absorbs the lines of finished days into Parquet files, each night. `absorbed` says what lies where.

For each file, in this order:

    1. the reference, without `absorbed_at`: it fixes the objects that the file is made of; of two runs one writes it
    2. the file, which depends on these objects alone: a second writer writes the same
    3. the reference with `absorbed_at`: from now on readers take the file
    4. a night later, when no reader has the old list any more, the objects are deleted

A run that dies anywhere leaves what the next night goes on with. Lines that come later become a further file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from millrace.aws.deletion import delete_keys
from millrace.aws.objects import AT_ONCE, entries_below, put_new, read_object
from millrace.decisions import absorbed
from millrace.decisions.absorbed import AbsorbedLines
from millrace.decisions.record import day_of, prefix
from millrace.messages.upkeep import Absorption
from millrace.packing import packed

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST = 4
"""The fewest objects with lines that become a file: to write and delete takes more calls than reading fewer."""
MOST_BYTES = 16 * 2**30
"""The most bytes of lines that one call absorbs: 17 million lines of `electricity`, in two minutes of CPU time and
some four of S3's."""
FILE_BYTES, FILE_OBJECTS = 256 * 2**20, 5_000
"""The most bytes of lines and the most objects of one file. It is written on the function's disk of 512 MB."""
GROUP_BYTES = 32 * 2**20
"""Lines that are one row group, in the order of their event times: a reader of some minutes reads few of them. Those of
a file are in memory at the same time."""
KEPT = timedelta(hours=20)
"""Objects are deleted if their file was there for so long: until the next night, if it comes a little early."""


def absorb(client: Any, bucket: str, workload: str, *, as_of: datetime) -> Absorption:
    """Absorb the lines of the days before `as_of`, the oldest first, and delete those that have been absorbed for long.

    `client` is boto3's S3 client."""
    night = _Night(client=client, bucket=bucket, as_of=as_of)
    listed = entries_below(client, bucket, f"{workload}/decisions/date=")
    for day, entries in groupby(listed, key=lambda entry: day_of(entry["Key"])):
        folder = prefix(workload, day)
        sizes = {entry["Key"].removeprefix(folder): entry["Size"] for entry in entries}
        if day < as_of.date():
            night.keep_up(folder, sizes)
    return Absorption(files=night.files, rows=night.rows, deleted=night.deleted, waiting_bytes=night.waiting_bytes)


@dataclass(kw_only=True)
class _Night:
    """One run, and what it has done so far."""

    client: Any
    bucket: str
    as_of: datetime
    files: int = 0
    rows: int = 0
    deleted: int = 0
    read_bytes: int = 0
    waiting_bytes: int = 0

    def keep_up(self, folder: str, sizes: Mapping[str, int]) -> None:
        """Do what is to be done for a day. `sizes` are the bytes of each object in its folder, by name."""
        lines = {name: size for name, size in sizes.items() if name.endswith(".jsonl")}
        if not lines:
            return
        names = [name for name in sizes if absorbed.is_reference(name)]
        references = {name: AbsorbedLines.model_validate_json(self._get(folder + name)) for name in names}
        for name, reference in references.items():
            if reference.absorbed_at is None:
                self._write(folder, name, {each: size for each, size in lines.items() if each in reference.rows})
            elif reference.absorbed_at <= self.as_of - KEPT:
                self._delete([folder + each for each in reference.taken if each in lines])
        named = {each for reference in references.values() for each in reference.rows}
        loose = {name: size for name, size in lines.items() if name not in named}
        first = 1 + max(map(absorbed.number_of, names), default=-1)
        for number, portion in enumerate(_portions(loose, most_bytes=FILE_BYTES), start=first):
            if len(portion) >= FEWEST:
                self._begin(folder, absorbed.reference_name(number), portion)

    def _begin(self, folder: str, name: str, portion: Mapping[str, int]) -> None:
        """Fix the objects of a new file, then write it; unless it is too much for this call."""
        if self.read_bytes + sum(portion.values()) > MOST_BYTES:
            self.waiting_bytes += sum(portion.values())
            return
        body = AbsorbedLines(rows=dict.fromkeys(portion)).model_dump_json().encode()
        # Without an answer another run is at this day, and goes on.
        if put_new(self.client, Bucket=self.bucket, Key=folder + name, Body=body):
            self._write(folder, name, portion)

    def _write(self, folder: str, name: str, sizes: Mapping[str, int]) -> None:
        """Write the file of these objects, then the reference that lets it count."""
        rows: dict[str, int | None] = dict.fromkeys(sizes)
        with TemporaryDirectory() as scratch:
            path = Path(scratch, "lines.parquet")
            absorbed.write_file(path, self._parts(folder, sizes, rows))
            with path.open("rb") as file:
                self._put(absorbed.file_of(folder + name), file)
        reference = AbsorbedLines(rows=rows, absorbed_at=self.as_of)
        self._put(folder + name, reference.model_dump_json().encode())
        self.files += 1
        self.rows += sum(reference.taken.values())
        self.read_bytes += sum(sizes.values())

    def _parts(self, folder: str, sizes: Mapping[str, int], rows: dict[str, int | None]) -> Iterator[pa.Table]:
        """The rows of the objects in the order of their times. Their number by object is filled into `rows`.

        Objects that are no lines are left out."""
        import pyarrow as pa

        taken = dict[str, pa.Table]()
        with ThreadPoolExecutor(AT_ONCE) as readers:
            for group in _portions(sizes, most_bytes=GROUP_BYTES):
                bodies = readers.map(self._get, [folder + name for name in group])
                tables = zip(group, map(absorbed.table_of, bodies), strict=True)
                taken |= {name: table for name, table in tables if table is not None}
        rows.update({name: table.num_rows for name, table in taken.items()})
        if taken:
            whole = pa.concat_tables(taken.values()).sort_by("event_time")
            taken.clear()
            size = -(-whole.num_rows * GROUP_BYTES // max(GROUP_BYTES, sum(sizes.values())))
            yield from (whole.slice(first, size) for first in range(0, whole.num_rows, size))

    def _delete(self, keys: list[str]) -> None:
        delete_keys(self.client, self.bucket, keys)
        self.deleted += len(keys)

    def _get(self, key: str) -> bytes:
        return read_object(self.client, f"s3://{self.bucket}/{key}")

    def _put(self, key: str, body: Any) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)


def _portions(sizes: Mapping[str, int], *, most_bytes: int) -> Iterator[dict[str, int]]:
    """The objects by name, in portions of `most_bytes` and FILE_OBJECTS at most, or of one object that is larger."""
    for names in packed(sorted(sizes), (sizes.__getitem__, most_bytes), most=FILE_OBJECTS):
        yield {name: sizes[name] for name in names}
