"""The steps of a job, each a task for one item:

read    a piece of the drop becomes typed rows, rows that cannot be parsed, and the keys of good rows
keys    the keys of a piece, or of a data file of the table
write   the rows of some pieces become a data file, but for those that are refused
gather  the refused rows become one file, as the quarantine has it"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import Field

from millrace.contract.deduplicate import HELD, key_of
from millrace.contract.kinds import arrow_type
from millrace.contract.reasons import RowsByReason
from millrace.contract.schema import LINE, parsed_schema
from millrace.contract.validate import ValidationResult, by_rules, judge_repeated, refuse_all, wrong_row_count
from millrace.datasets.bulk.job import BulkJob
from millrace.datasets.bulk.pieces import Piece, fetch_groups, text_of
from millrace.datasets.known_rows import rows_of
from millrace.datasets.new_rows import Source, comparable, footer_bounds, parts, with_source, within
from millrace.datasets.quarantine import schema
from millrace.datasets.tables import ICEBERG_TYPES, NewDataFile, data_file, types_of
from millrace.files.catalogue import filled, read_drop
from millrace.files.lines import Begin
from millrace.files.parsed import Parsed
from millrace.messages.bulk import Bounds, BulkFile
from millrace.messages.envelope import Message

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_BYTES = 16 * 2**20
"""The bytes of which the digest is computed at a time."""
KINDS = {word: kind for kind, word in ICEBERG_TYPES.items()}
FIRST = "first"
"""Beside a row's line, the line of the first row with its key."""


class Digest(Message):
    """SHA-256 of the drop's bytes."""

    digest: str


class PieceRead(Message):
    """What became of a piece."""

    number: int
    rows: int
    """Typed rows."""
    good: int
    """Those that keep the rules on their cells."""
    bytes: int
    """The size of the file with the typed rows."""
    last: int
    """The line of the last typed row; 0 without one."""
    reasons: RowsByReason
    """How many rows that cannot be parsed have which reason."""
    bounds: tuple[Bounds | None, ...]
    """For each key of the contract the bounds of its first column; None if they cannot be compared."""


class KeySource(Message):
    """Where keys come from: a piece of the drop, or a data file of the table."""

    key: int
    """The place of the key among the contract's keys."""
    piece: int = -1
    file: dict[str, int | str] = Field(default_factory=dict)
    """The place and the size of the data file; empty for a piece."""
    bounds: Bounds | None = None


class NewFile(Message):
    """A data file to be written."""

    number: int
    pieces: tuple[int, ...]
    """The pieces whose rows it takes."""
    repeated: int
    """How many of its rows have a key that came before: staging has their lines."""
    accepted: int
    """The good rows of the whole drop, whose number the contract may bound."""
    snapshot_id: int


class FileWritten(Message):
    """What became of the rows of a data file."""

    number: int
    file: BulkFile | None
    refused: RowsByReason
    counted: RowsByReason
    """Those that are refused for the number of good rows alone."""


class Gathered(Message):
    """The parts of one file of refused rows."""

    name: str
    parts: tuple[str, ...]
    snapshot_id: int


def digest_of(job: BulkJob) -> Digest:
    """The digest of the drop, which is read once more for it."""
    digest, stream = hashlib.sha256(), job.stream()
    while content := stream.read(DIGEST_BYTES):
        digest.update(content)
    return Digest(digest=digest.hexdigest())


def read_piece(job: BulkJob, piece: Piece, digest: str) -> PieceRead:
    """Parse the piece and judge its rows by the rules on cells. Three files in staging have what was found.

    Raises DropError as `read_drop` does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = good = last = 0
    columns = pa.schema([*((str(place), pa.binary()) for place in range(len(job.judged.keys))), (LINE, pa.int64())])
    with TemporaryDirectory() as folder:
        typed, raw, keys = (Path(folder, name) for name in ("parsed", "unparsable", "keys"))
        with (
            job.quarantine(raw) as unparsable,
            pq.ParquetWriter(typed, parsed_schema(job.table), compression="zstd", write_page_checksum=True) as parsed,
            pq.ParquetWriter(keys, columns, compression="zstd", write_page_checksum=True) as keyed,
        ):
            for part in filled(_parts(job, piece, Path(folder), digest), job.table, job.origin(digest)):
                unparsable.add(part.unparsable)
                if not part.rows.num_rows:
                    continue
                # Each part becomes a row group, as in ingestion.
                parsed.write_table(part.rows)
                keeps, _ = by_rules(part.rows.combine_chunks(), job.judged, decodes=True)
                kept = part.rows.filter(pa.array(keeps))
                values = [_values(kept, key, job) for key in job.judged.keys]
                keyed.write_table(pa.table([*values, kept.column(LINE)], schema=columns))
                rows, good = rows + part.rows.num_rows, good + kept.num_rows
                last = part.rows.column(LINE)[-1].as_py()
        footer = pq.read_metadata(typed)
        job.put(typed, f"parsed-{piece.number}")
        job.put(keys, f"keys-{piece.number}")
        if unparsable.rows:
            job.put(raw, f"unparsable-{piece.number}")
        return PieceRead(
            number=piece.number,
            rows=rows,
            good=good,
            bytes=typed.stat().st_size,
            last=last,
            reasons=unparsable.reasons,
            bounds=tuple(comparable(footer_bounds(footer, key[0])) for key in job.judged.keys),
        )


def _parts(job: BulkJob, piece: Piece, folder: Path, digest: str) -> Iterator[Parsed]:
    """The piece in parts, before generated columns are filled."""
    stream, path = job.stream(), folder / "drop"
    if piece.groups:
        from millrace.files.parquet import read

        yield from read(fetch_groups(job, path, piece.groups), job.table, job.limits, groups=piece.groups)
    elif piece.form:
        start = Begin(offset=stream.seek(piece.begin), line=piece.line, until=piece.until, names=piece.names)
        yield from text_of(piece.form).body(stream, start, job.table, job.limits, job.origin(digest))
    else:
        yield from read_drop(stream.fetch(path, (0, job.plan.size)), job.table, job.limits, job.origin(digest))


def _values(rows: pa.Table, key: tuple[str, ...], job: BulkJob) -> pa.Array:
    """The key of each row as bytes, which are equal in all tasks if the keys are. Null if a cell of it is missing."""
    import pyarrow as pa

    # The table's types may be wider than the contract's: a number then has another text.
    types = types_of(job.iceberg.schema())
    kinds = pa.schema([(name, arrow_type(KINDS[types[name]])) for name in key])
    keys = key_of(rows.select(key).cast(kinds), key)
    return keys if pa.types.is_binary(keys.type) else keys.cast(pa.string()).cast(pa.binary())


def keys_of(job: BulkJob, item: KeySource) -> Iterator[pa.RecordBatch]:
    """The keys with their lines, HELD for those of the table, in columns `key` and LINE. Missing ones are left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = job.judged.keys[item.key]
    with TemporaryDirectory() as folder:
        if item.file:
            which = within(columns[0], item.bounds, but_of=job.plan.replaceable)
            found = _values(rows_of(job.iceberg, [data_file(job.iceberg, **item.file)], columns, which), columns, job)
            held = pa.table([found, pa.repeat(pa.scalar(HELD, pa.int64()), len(found))], names=["key", LINE])
            batches = iter(held.to_batches())
        else:
            path = job.get(f"keys-{item.piece}", Path(folder, "keys"))
            batches = pq.ParquetFile(path, page_checksum_verification=True).iter_batches(columns=[str(item.key), LINE])
        for batch in batches:
            yield batch.rename_columns(["key", LINE]).filter(batch.column(0).is_valid())


def held_files(job: BulkJob, key: int, bounds: Bounds | None) -> list[KeySource]:
    """The data files of the table that may hold a key of the drop."""
    which = within(job.judged.keys[key][0], bounds, but_of=job.plan.replaceable)
    names = ("file_path", "file_size_in_bytes", "record_count")
    files = (task.file for task in job.iceberg.scan(row_filter=which).plan_files())
    return [KeySource(key=key, bounds=bounds, file={name: getattr(file, name) for name in names}) for file in files]


def write_file(job: BulkJob, output: NewFile) -> FileWritten:
    """Write the good rows of some pieces as a data file. The other rows are in staging, in the order of their lines."""
    import pyarrow.parquet as pq

    again: dict[int, tuple[tuple[str, ...], int]] = {}
    source = Source(uri=job.plan.source, key=job.plan.key, digest="", written_by="", arrived=job.plan.as_of)
    count = wrong_row_count(output.accepted, job.judged)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if output.repeated:
            found = pq.read_table(job.get(f"repeated-{output.number}", folder / "repeated")).to_pylist()
            again = {row[LINE]: (job.judged.keys[row["key"]], row[FIRST]) for row in found}
        file = NewDataFile(job.iceberg, folder / "rows")
        with job.quarantine(folder / "refused") as refused, job.quarantine(folder / "counted") as counted:
            for piece in output.pieces:
                for part in parts(job.get(f"parsed-{piece}", folder / "parsed"), job.judged):
                    result = judge_repeated(part, job.judged, again, decodes=True)
                    refused.add(result.refused)
                    if count:
                        good = ValidationResult(accepted=result.accepted, refused=())
                        counted.add(refuse_all(good, count, job.judged).refused)
                    else:
                        file.add(with_source(result.accepted, source))
        stored = file.store(f"{job.plan.drop_id}-{output.snapshot_id}-{output.number:05d}")
        job.put(folder / "refused", f"refused-{output.number}")
        job.put(folder / "counted", f"counted-{output.number}")
        entry = BulkFile.model_validate(stored) if stored else None
        return FileWritten(number=output.number, file=entry, refused=refused.reasons, counted=counted.reasons)


def gather(job: BulkJob, wanted: Gathered) -> Gathered:
    """Write the parts into one file of staging, in their order."""
    import pyarrow.parquet as pq

    with TemporaryDirectory() as name:
        whole, part = Path(name, "whole"), Path(name, "part")
        with pq.ParquetWriter(whole, schema(), compression="zstd", write_page_checksum=True) as writer:
            for one in wanted.parts:
                with pq.ParquetFile(job.get(one, part), page_checksum_verification=True) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
        job.put(whole, wanted.name)
    return wanted
