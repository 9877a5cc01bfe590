"""The job from the plan to the result: what it asks of many tasks at once, and what it makes of their answers.

read    a piece of the drop becomes typed rows, and rows that cannot be parsed
keys    the keys of its good rows, or of a data file of the table; equal ones come together
write   its rows become a data file, but for those that are refused

Every file has a name that follows from the plan, so a job that is begun again writes the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from millrace.aws.objects import key_of_version, put_object, read_object
from millrace.contract.deduplicate import HELD, key_of
from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import LINE, parsed_schema
from millrace.contract.validate import Validator, wrong_row_count
from millrace.contract.violation import RuleViolation, of_line
from millrace.datasets.bulk.pieces import BulkJob, DropStream, Piece, cut, job_of, read
from millrace.datasets.iceberg import s3_client
from millrace.datasets.known_rows import rows_of
from millrace.datasets.new_rows import Source, comparable, footer_bounds, parts, screen, with_source, within
from millrace.datasets.quarantine import schema, together
from millrace.datasets.tables import NewDataFile, with_former
from millrace.errors import DropError
from millrace.messages.bulk import Bounds, BulkPlan, BulkResult

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile

KEY, FIRST = "key", "first"
"""Beside a row's line: the place of the key among the contract's, and the line of the first row with it."""


class Executor(Protocol):
    """What runs tasks: Spark."""

    def each(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The task's answers to the items, in their order."""

    def shared(self, keys: Callable[[Any], Iterator[pa.RecordBatch]], items: Sequence[Any]) -> pa.Table:
        """Of the rows KEY, `value` and LINE of all items those that another row is equal to, but for its line.

        In place of the value they have the lowest line of it, as FIRST."""


@dataclass(frozen=True, kw_only=True)
class PieceRead:
    """What became of a piece that was read."""

    number: int
    footer: pq.FileMetaData
    """Of the file with its typed rows."""
    reasons: RowsByReason
    """How many rows that cannot be parsed have which reason."""


@dataclass(frozen=True, kw_only=True)
class PieceWritten:
    """What became of the typed rows of a piece."""

    accepted: int
    uri: str
    """Of the data file; empty for none."""
    refused: RowsByReason


def plan_at(uri: str) -> BulkPlan:
    """The plan that ingestion has written there."""
    return BulkPlan.model_validate_json(read_object(s3_client(), uri))


def judge(plan: BulkPlan, executor: Executor) -> BulkResult:
    """The result of the plan, which is in staging when this returns."""
    job = job_of(plan)
    stream = DropStream(job)
    try:
        result = _result(job, stream, executor)
    except DropError as error:
        refusal = of_line(error.reason, error.expected, error.got)
        # Of a drop that has been deleted meanwhile nothing can be read any more.
        digest = "" if error.reason is Reason.MISSING else stream.digest()
        result = BulkResult(snapshot_id=job.snapshot_id, digest=digest, refusal=refusal, round=plan.round)
    put_object(s3_client(), plan.result, result.model_dump_json().encode())
    return result


def _result(job: BulkJob, stream: DropStream, executor: Executor) -> BulkResult:
    """Read, compare the keys, write. Raises DropError if the drop cannot become rows."""
    pieces = cut(job, stream)
    answers = executor.each(partial(read_piece, job.plan, stream.digest()), pieces)
    if why := next((one for one in answers if isinstance(one, RuleViolation)), None):
        raise DropError(why.reason, expected=why.expected, got=why.got)
    found = [one for one in answers if isinstance(one, PieceRead)]
    reasons = together(*(piece.reasons for piece in found))
    typed = [piece for piece in found if piece.footer.num_rows]
    if not (typed or reasons):
        raise DropError(Reason.EMPTY, expected="rows", got="a header only")
    bounds: tuple[Bounds | None, ...] = (None,) * len(job.judged.keys)
    written = list[PieceWritten]()
    if typed:
        bounds = _bounds(job, [piece.footer for piece in typed])
        items = [*(piece.number for piece in typed), *_held(job, bounds)]
        _stage_repeated(job, typed, repeated(executor.shared(partial(keys_of, job.plan, bounds), items)))
        numbers = [piece.number for piece in typed]
        written = executor.each(partial(write_piece, job.plan, job.judged.minimum_rows), numbers)
        good = sum(piece.accepted for piece in written)
        if wrong_row_count(good, job.judged):
            written = executor.each(partial(write_piece, job.plan, good), numbers)
    quarantined = together(*(piece.refused for piece in written))
    _gather(job, "unparsable", (piece.number for piece in found if piece.reasons))
    _gather(job, "refused", (piece.number for piece, one in zip(typed, written, strict=True) if one.refused))
    return BulkResult(
        snapshot_id=job.snapshot_id,
        round=job.plan.round,
        digest=stream.digest(),
        rows=sum(piece.footer.num_rows for piece in typed),
        reasons=reasons,
        quarantined=quarantined,
        files=tuple(piece.uri for piece in written if piece.uri),
        bounds=bounds,
    )


def read_piece(plan: BulkPlan, digest: str, piece: Piece) -> PieceRead | RuleViolation:
    """Parse the piece into two files of staging. A violation says why the drop cannot become rows."""
    import pyarrow.parquet as pq

    job = job_of(plan)
    with TemporaryDirectory() as folder:
        typed, raw = Path(folder, "parsed"), Path(folder, "unparsable")
        try:
            with (
                job.quarantine(raw) as unparsable,
                pq.ParquetWriter(typed, parsed_schema(job.table), compression="zstd", write_page_checksum=True) as rows,
            ):
                for part in read(job, piece, digest):
                    unparsable.add(part.unparsable)
                    if part.rows.num_rows:
                        rows.write_table(part.rows)  # each part becomes a row group, as in ingestion
        except DropError as error:
            return of_line(error.reason, error.expected, error.got)
        job.put(typed, f"parsed-{piece.number}")
        job.put(raw, f"unparsable-{piece.number}")
        return PieceRead(number=piece.number, footer=pq.read_metadata(typed), reasons=unparsable.reasons)


def keys_of(
    plan: BulkPlan, bounds: Sequence[Bounds | None], item: int | tuple[int, DataFile]
) -> Iterator[pa.RecordBatch]:
    """The keys of the good rows of a piece with their lines, or a key of a data file with HELD; no missing ones."""
    import pyarrow as pa

    job = job_of(plan)
    if isinstance(item, tuple):
        key, file = item
        rows = rows_of(job.iceberg, [file], job.judged.keys[key], _range(job, key, bounds))
        yield from _keyed(job, key, rows, pa.repeat(pa.scalar(HELD, pa.int64()), rows.num_rows))
        return
    validator = Validator(job.judged, repeated={})
    with TemporaryDirectory() as folder:
        for part in parts(job.get(f"parsed-{item}", Path(folder, "parsed")), job.judged):
            rows = validator.judge(part).accepted
            for key in range(len(job.judged.keys)):
                yield from _keyed(job, key, rows, rows.column(LINE))


def _keyed(job: BulkJob, key: int, rows: pa.Table, lines: pa.Array) -> list[pa.RecordBatch]:
    """The key of each row as bytes, which are equal in all tasks if the keys are, beside its line."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    # The table's types may be wider than the contract's: a number then has another text.
    columns = job.judged.keys[key]
    kinds = schema_to_pyarrow(job.iceberg.schema().select(*columns), include_field_ids=False)
    values = key_of(with_former(rows, kinds), columns)
    if not pa.types.is_binary(values.type):
        values = values.cast(pa.string()).cast(pa.binary())
    places = pa.repeat(pa.scalar(key, pa.int64()), rows.num_rows)
    table = pa.table({KEY: places, "value": values, LINE: lines})
    batches: list[pa.RecordBatch] = table.filter(values.is_valid()).to_batches()
    return batches


def write_piece(plan: BulkPlan, good: int, number: int) -> PieceWritten:
    """Write the good rows of a piece as a data file, and the others to staging.

    `good` is the number of good rows in the whole drop, which the contract may bound."""
    import pyarrow.parquet as pq

    job = job_of(plan)
    source = Source(uri=plan.source, key=key_of_version(plan.source), digest="", written_by="", arrived=plan.as_of)
    with TemporaryDirectory() as name:
        folder = Path(name)
        again = pq.read_table(job.get(f"repeated-{number}", folder / "repeated")).to_pylist()
        repeated = {row[LINE]: (job.judged.keys[row[KEY]], row[FIRST]) for row in again}
        parsed, file = job.get(f"parsed-{number}", folder / "parsed"), NewDataFile(job.iceberg, folder / "rows")
        with job.quarantine(folder / "refused") as refused:
            rows = screen(
                parsed,
                job.judged,
                lambda part: file.add(with_source(part, source)),
                refused,
                repeated=repeated,
                good=good,
            )
        # The snapshot is in the name: a job that is begun for another one must not write over what was committed.
        stored = file.store(f"{plan.drop_id}-{job.snapshot_id}-{number:05d}") if rows else None
        job.put(folder / "refused", f"refused-{number}")
    return PieceWritten(accepted=rows, uri=stored.file_path if stored else "", refused=refused.reasons)


def repeated(shared: pa.Table) -> pa.Table:
    """The rows to be refused, by line: LINE, KEY and the line of the FIRST row with it, or HELD.

    `shared` has the rows that share a key, with the lowest line of it as FIRST, which is HELD if the table has the key.
    A row that is refused for one key does not use up another: the rows are gone through in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.greater(shared.column(KEY), 0)).as_py():
        return shared.filter(pc.not_equal(shared.column(LINE), shared.column(FIRST))).sort_by(LINE)
    rows: dict[int, list[tuple[int, int]]] = {}
    for row in shared.sort_by(KEY).to_pylist():
        rows.setdefault(row[LINE], []).append((row[KEY], row[FIRST]))
    taken: dict[tuple[int, int], int] = {}
    refused = []
    for line in sorted(rows):
        held = (each for each in rows[line] if each[1] == HELD)
        before = ((each[0], taken[each]) for each in rows[line] if each in taken)
        if clash := next(held, None) or next(before, None):
            refused.append({KEY: clash[0], LINE: line, FIRST: clash[1]})
        else:
            taken |= dict.fromkeys(rows[line], line)
    return pa.Table.from_pylist(refused, schema=shared.schema)


def _bounds(job: BulkJob, footers: Sequence[pq.FileMetaData]) -> tuple[Bounds | None, ...]:
    """For each key of the contract the bounds of its first column; None if they cannot be compared."""
    whole = copy(footers[0])
    for footer in footers[1:]:
        whole.append_row_groups(footer)
    return tuple(comparable(footer_bounds(whole, key[0])) for key in job.judged.keys)


def _held(job: BulkJob, bounds: Sequence[Bounds | None]) -> Iterator[tuple[int, DataFile]]:
    """The places of keys, each with a data file of the table that may hold such a key of the drop."""
    for key in range(len(bounds)):
        for task in job.iceberg.scan(row_filter=_range(job, key, bounds)).plan_files():
            yield key, task.file


def _range(job: BulkJob, key: int, bounds: Sequence[Bounds | None]) -> BooleanExpression:
    return within(job.judged.keys[key][0], bounds[key], but_of=job.plan.replaceable)


def _stage_repeated(job: BulkJob, typed: Sequence[PieceRead], again: pa.Table) -> None:
    """Put the rows to be refused into staging, for each piece its own."""
    import pyarrow.parquet as pq

    lines, first = again.column(LINE).to_numpy(), 0
    with TemporaryDirectory() as folder:
        for piece in typed:
            _, last = footer_bounds(piece.footer, LINE) or (0, 0)
            behind = int(lines.searchsorted(last, side="right"))
            pq.write_table(again.slice(first, behind - first), Path(folder, "repeated"))
            job.put(Path(folder, "repeated"), f"repeated-{piece.number}")
            first = behind


def _gather(job: BulkJob, name: str, numbers: Iterable[int]) -> None:
    """Write the refused rows of these pieces into one file of staging, as the quarantine has it."""
    import pyarrow.parquet as pq

    with TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole"), Path(folder, "part")
        with pq.ParquetWriter(whole, schema(), compression="zstd", write_page_checksum=True) as writer:
            for number in numbers:
                with pq.ParquetFile(job.get(f"{name}-{number}", part), page_checksum_verification=True) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
        job.put(whole, f"{name}.parquet")
