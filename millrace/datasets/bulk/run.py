"""The job from the plan to the result: what it asks of many tasks at once, and what it makes of their answers.

read    a piece of the drop becomes typed rows with the keys of the good ones, and rows that cannot be parsed
held    the keys of a data file of the table
compare equal keys come together
write   its rows become a data file, but for those that are refused

Every file has a name that follows from the plan, so a job that is begun again writes the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile

from millrace.aws.objects import key_of_version, put_object, read_object
from millrace.contract.deduplicate import BLOCK
from millrace.contract.drop_rules import Totals
from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import LINE, parsed_schema
from millrace.contract.validate import Validator, totals_of
from millrace.contract.violation import RuleViolation, of_line
from millrace.datasets.bulk.keys import Runs, RunWriter, compare, partitions, repeated
from millrace.datasets.bulk.pieces import BulkJob, DropStream, Each, Piece, cut, job_of, read
from millrace.datasets.compaction import compact_by_job
from millrace.datasets.iceberg import s3_client
from millrace.datasets.new_rows import Source, comparable, footer_bounds, screen, with_source, within
from millrace.datasets.quarantine import schema, together
from millrace.datasets.tables import NewDataFile, rows_of
from millrace.errors import DropError
from millrace.messages.bulk import COMPACTION, Bounds, BulkPlan, BulkResult, CompactionPlan, CompactionResult

HeldFile = tuple[int, int, "DataFile"]
"""The place of a key, a number, and a data file of the table that may hold such a key of the drop."""


@dataclass(frozen=True, kw_only=True)
class PieceRead:
    """What became of a piece that was read."""

    number: int
    footer: pq.FileMetaData
    """Of the file with its typed rows."""
    reasons: RowsByReason
    """How many rows that cannot be parsed have which reason."""
    totals: Totals
    """Of the others, for the rules on the whole drop; no key is compared yet."""
    keys: Runs
    """Of the good ones."""


@dataclass(frozen=True, kw_only=True)
class PieceWritten:
    """What became of the typed rows of a piece."""

    uri: str
    """Of the data file; empty for none."""
    refused: RowsByReason


def do(uri: str, each: Each) -> BulkResult | CompactionResult:
    """The result of the plan at the URI: a drop is judged, or small files are joined."""
    plan = read_object(s3_client(), uri)
    if uri.endswith(COMPACTION):
        return compact_by_job(CompactionPlan.model_validate_json(plan), each)
    return judge(BulkPlan.model_validate_json(plan), each)


def judge(plan: BulkPlan, each: Each) -> BulkResult:
    """The result of the plan, which is in staging when this returns."""
    job = job_of(plan)
    stream = DropStream(job)
    try:
        result = _result(job, stream, each)
    except DropError as error:
        refusal = of_line(error.reason, error.expected, error.got)
        # Of a drop that has been deleted meanwhile nothing can be read any more.
        digest = "" if error.reason is Reason.MISSING else stream.digest()
        result = BulkResult(snapshot_id=job.snapshot_id, digest=digest, refusal=refusal, round=plan.round)
    put_object(s3_client(), plan.result, result.model_dump_json().encode())
    return result


def _result(job: BulkJob, stream: DropStream, each: Each) -> BulkResult:
    """Read, compare the keys, write. Raises DropError if the drop cannot become rows."""
    pieces, secret = cut(job, stream), token_bytes(16)
    answers = each(partial(read_piece, job.plan, stream.digest(), secret), pieces)
    if why := next((one for one in answers if isinstance(one, RuleViolation)), None):
        raise DropError(why.reason, expected=why.expected, got=why.got)
    found = [one for one in answers if isinstance(one, PieceRead)]
    reasons = together(*(piece.reasons for piece in found))
    typed = [piece for piece in found if piece.footer.num_rows]
    if not (typed or reasons):
        raise DropError(Reason.EMPTY, expected="rows", got="a header only")
    bounds: tuple[Bounds | None, ...] = (None,) * len(job.judged.keys)
    written, totals = list[PieceWritten](), Totals()
    for piece in typed:
        totals.update(piece.totals)
    if typed:
        bounds = _bounds(job, [piece.footer for piece in typed])
        held = each(partial(read_held, job.plan, bounds, secret), list(_held(job, bounds)))
        runs = dict(run for keys in (*(piece.keys for piece in typed), *held) for run in keys.items())
        lines = [1 + (footer_bounds(piece.footer, LINE) or (0, 0))[1] for piece in typed]
        ends = np.array(lines, np.uint64) * np.uint64(len(job.judged.keys))
        shared = each(partial(compare, job.plan, ends), list(partitions(job.plan, runs)))
        numbers = [piece.number for piece in typed]
        for number, rows in zip(numbers, repeated(job, shared, len(typed)), strict=True):
            job.put_array(rows, f"repeated-{number}")
            totals["repeated"] += len(rows)
        written = each(partial(write_piece, job.plan), numbers)
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
        totals=totals,
    )


def read_piece(plan: BulkPlan, digest: str, secret: bytes, piece: Piece) -> PieceRead | RuleViolation:
    """Parse the piece into two files of staging, and keys. A violation says why the drop cannot become rows."""
    job = job_of(plan)
    validator, keys = Validator(job.judged, repeated={}), RunWriter(job, f"{piece.number}", secret)
    totals = Totals()
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
                        found = validator.judge(part.rows)
                        totals.update(totals_of(found, job.judged))
                        for key in range(len(job.judged.keys)):
                            keys.add(found.accepted, key)
        except DropError as error:
            return of_line(error.reason, error.expected, error.got)
        job.put(typed, f"parsed-{piece.number}")
        job.put(raw, f"unparsable-{piece.number}")
        footer, runs = pq.read_metadata(typed), keys.close()
        return PieceRead(number=piece.number, footer=footer, reasons=unparsable.reasons, totals=totals, keys=runs)


def read_held(plan: BulkPlan, bounds: Sequence[Bounds | None], secret: bytes, item: HeldFile) -> Runs:
    """Write the keys of a data file that the drop may have too into runs."""
    job, (key, number, file) = job_of(plan), item
    keys = RunWriter(job, f"held-{key}-{number}", secret)
    for batch in rows_of(job.iceberg, [file], job.judged.keys[key], _range(job, key, bounds)).to_batches(BLOCK):
        keys.add(pa.Table.from_batches([batch]), key)
    return keys.close()


def write_piece(plan: BulkPlan, number: int) -> PieceWritten:
    """Write the good rows of a piece as a data file, and the others to staging."""
    job = job_of(plan)
    source = Source(uri=plan.source, key=key_of_version(plan.source), digest="", written_by="", arrived=plan.as_of)
    with TemporaryDirectory() as name:
        folder = Path(name)
        again = np.fromfile(job.get(f"repeated-{number}", folder / "repeated"), np.uint64).reshape(-1, 2).tolist()
        keys, count = job.judged.keys, len(job.judged.keys)
        refused_keys = {place // count: (keys[place % count], first // count) for place, first in again}
        parsed, file = job.get(f"parsed-{number}", folder / "parsed"), NewDataFile(job.iceberg, folder / "rows")
        with job.quarantine(folder / "refused") as refused:
            rows = screen(
                parsed, job.judged, lambda part: file.add(with_source(part, source)), refused, repeated=refused_keys
            )
        # The snapshot is in the name: a job that is begun for another one must not write over what was committed.
        stored = file.store(f"{plan.drop_id}-{job.snapshot_id}-{number:05d}") if rows else None
        job.put(folder / "refused", f"refused-{number}")
    return PieceWritten(uri=stored.file_path if stored else "", refused=refused.reasons)


def _bounds(job: BulkJob, footers: Sequence[pq.FileMetaData]) -> tuple[Bounds | None, ...]:
    """For each key of the contract the bounds of its first column; None if they cannot be compared."""
    whole = copy(footers[0])
    for footer in footers[1:]:
        whole.append_row_groups(footer)
    return tuple(comparable(footer_bounds(whole, key[0])) for key in job.judged.keys)


def _held(job: BulkJob, bounds: Sequence[Bounds | None]) -> Iterator[HeldFile]:
    for key in range(len(bounds)):
        for number, task in enumerate(job.iceberg.scan(row_filter=_range(job, key, bounds)).plan_files()):
            yield key, number, task.file


def _range(job: BulkJob, key: int, bounds: Sequence[Bounds | None]) -> BooleanExpression:
    return within(job.judged.keys[key][0], bounds[key], but_of=job.plan.replaceable)


def _gather(job: BulkJob, name: str, numbers: Iterable[int]) -> None:
    """Write the refused rows of these pieces into one file of staging, as the quarantine has it."""
    with TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole"), Path(folder, "part")
        with pq.ParquetWriter(whole, schema(), compression="zstd", write_page_checksum=True) as writer:
            for number in numbers:
                with pq.ParquetFile(job.get(f"{name}-{number}", part), page_checksum_verification=True) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
        job.put(whole, f"{name}.parquet")
