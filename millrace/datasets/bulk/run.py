"""The job from the plan to the result: what it asks of many tasks at once, and what it makes of their answers.

Every file and every answer has a name that follows from the plan, so a job that is begun again writes the same ones,
and asks no task twice that has answered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from millrace.contract.deduplicate import HELD
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE
from millrace.datasets.bulk.job import BulkJob, job_of, read_if_there
from millrace.datasets.bulk.pieces import Cut, Looked, Piece, cut_parquet, cut_text, format_of, look, text_of
from millrace.datasets.bulk.steps import (
    FIRST,
    Digest,
    FileWritten,
    Gathered,
    KeySource,
    NewFile,
    PieceRead,
    digest_of,
    gather,
    held_files,
    keys_of,
    read_piece,
    write_file,
)
from millrace.datasets.quarantine import together
from millrace.errors import DropError
from millrace.messages.bulk import RESULT, Bounds, BulkPlan, BulkRefusal, BulkResult
from millrace.messages.envelope import Message
from millrace.packing import packed

if TYPE_CHECKING:
    import pyarrow as pa

REFUSED = "refused:"
"""How an answer begins that says why the drop cannot become rows."""


class Executor(Protocol):
    """What runs tasks: Spark."""

    def each(self, plan: str, tasks: Sequence[str]) -> list[str]:
        """The `answer` to each task, in their order."""

    def shared(self, plan: str, items: Sequence[str]) -> pa.Table:
        """Of the `keys` of all items the lines that share a key: LINE, and beside it the lowest line as FIRST."""


class BulkTask(Message):
    """A step for one item."""

    step: str
    item: str = ""
    digest: str = ""
    """Of the drop; empty for a step that does not need it."""


DIGEST = BulkTask(step="digest")
STEPS: dict[str, Callable[[BulkJob, BulkTask], Message]] = {
    "digest": lambda job, _: digest_of(job),
    "look": lambda job, task: look(job.stream(), Cut.model_validate_json(task.item), job.table, job.limits),
    "read": lambda job, task: read_piece(job, Piece.model_validate_json(task.item), task.digest),
    "write": lambda job, task: write_file(job, NewFile.model_validate_json(task.item)),
    "gather": lambda job, task: gather(job, Gathered.model_validate_json(task.item)),
}


def answer(plan: str, text: str) -> str:
    """The answer to a task, in JSON. Staging keeps it: a task that has answered is not done again."""
    job, task = job_of(plan), BulkTask.model_validate_json(text)
    # What is read of the drop does not depend on the table's snapshot. What is written does, and its items name it.
    known = job.plan.model_copy(update={"metadata_location": ""}).model_dump_json()
    name = f"{task.step}-{hashlib.sha256((known + text).encode()).hexdigest()}.json"
    if (before := read_if_there(job.plan.staging + name)) is not None:
        return before
    try:
        told = STEPS[task.step](job, task).model_dump_json()
    except DropError as error:
        told = REFUSED + BulkRefusal.model_validate(error).model_dump_json()
    job.write(name, told)
    return told


def keys(plan: str, item: str) -> Iterator[pa.RecordBatch]:
    """The keys of an item with their lines."""
    return keys_of(job_of(plan), KeySource.model_validate_json(item))


def judge(plan: BulkPlan, executor: Executor) -> BulkResult:
    """The result of the plan, which is in staging when this returns."""
    job = BulkJob(plan=plan)
    run = _Run(job, executor)
    try:
        result = run.result()
    except DropError as error:
        refusal = BulkRefusal.model_validate(error)
        result = BulkResult(snapshot_id=job.snapshot_id, digest=run.digest(), refusal=refusal)
    job.write(RESULT, result.model_dump_json())
    return result


class _Run:
    """A job with what runs its tasks."""

    def __init__(self, job: BulkJob, executor: Executor) -> None:
        self._job, self._executor, self._plan = job, executor, job.plan.model_dump_json()
        self._keys = range(len(job.judged.keys))

    def result(self) -> BulkResult:
        """Read, compare the keys, write. Raises DropError if the drop cannot become rows."""
        pieces = self._pieces()
        needs_digest = any(column.generated == "row_id" for column in self._job.table.columns)
        first = self.digest() if needs_digest else ""
        tasks = [BulkTask(step="read", item=piece.model_dump_json(), digest=first) for piece in pieces]
        # The digest takes as long as the longest of them, so it begins with them.
        digest, *answers = self._ask([DIGEST, *tasks])
        read = [PieceRead.model_validate_json(each) for each in answers]
        if not any(piece.rows or piece.reasons for piece in read):
            raise DropError(Reason.EMPTY, expected="rows", got="a header only")
        bounds = [_together([piece.bounds[place] for piece in read if piece.rows]) for place in self._keys]
        written = self._write(read, self._repeated(read, bounds))
        self._gather("unparsable", [f"unparsable-{piece.number}" for piece in read if piece.reasons])
        # As in a function, rows that are refused for the number of good rows stand behind all others.
        refused = [f"refused-{file.number}" for file in written if file.refused]
        self._gather("refused", [*refused, *(f"counted-{file.number}" for file in written if file.counted)])
        return BulkResult(
            snapshot_id=self._job.snapshot_id,
            digest=Digest.model_validate_json(digest).digest,
            rows=sum(piece.rows for piece in read),
            reasons=together(*(piece.reasons for piece in read)),
            quarantined=together(*(file.refused for file in written), *(file.counted for file in written)),
            files=tuple(file.file for file in written if file.file),
            bounds=tuple(bounds),
        )

    def digest(self) -> str:
        """SHA-256 of the drop's bytes."""
        return Digest.model_validate_json(*self._ask([DIGEST])).digest

    def _ask(self, tasks: Sequence[BulkTask]) -> list[str]:
        """The answers to the tasks. Raises DropError of the first one that says why the drop cannot become rows."""
        answers = self._executor.each(self._plan, [task.model_dump_json() for task in tasks])
        for refused in (each.removeprefix(REFUSED) for each in answers if each.startswith(REFUSED)):
            why = BulkRefusal.model_validate_json(refused)
            raise DropError(why.reason, expected=why.expected, got=why.got)
        return answers

    def _pieces(self) -> list[Piece]:
        job = self._job
        form = format_of(job)
        if form == "parquet":
            with TemporaryDirectory() as folder:
                return cut_parquet(job, Path(folder))
        if not form:
            return [Piece(number=0, form="")]
        start = text_of(form).begin(job.stream(), job.table, job.limits)
        return cut_text(form, start, job.plan.size, job.plan.range_bytes, self._look)

    def _look(self, cuts: Sequence[Cut]) -> list[Looked]:
        answers = self._ask([BulkTask(step="look", item=cut.model_dump_json()) for cut in cuts])
        return [Looked.model_validate_json(each) for each in answers]

    def _repeated(self, read: Sequence[PieceRead], bounds: Sequence[Bounds | None]) -> pa.Table:
        """The rows with a key that came before: see `repeated`."""
        shared = []
        for key in self._keys:
            items = [KeySource(key=key, piece=piece.number) for piece in read if piece.good]
            items += held_files(self._job, key, bounds[key]) if items else []
            shared.append(self._executor.shared(self._plan, [item.model_dump_json() for item in items]))
        return repeated(shared)

    def _write(self, read: Sequence[PieceRead], again: pa.Table) -> list[FileWritten]:
        import pyarrow.parquet as pq

        job, outputs, first = self._job, list[NewFile](), 0
        lines, accepted = again.column(LINE).to_numpy(), sum(piece.good for piece in read) - again.num_rows
        for number, some in enumerate(packed([piece for piece in read if piece.rows], (_size, job.plan.file_bytes))):
            behind = int(lines.searchsorted(some[-1].last, side="right"))
            with TemporaryDirectory() as folder:
                pq.write_table(again.slice(first, behind - first), Path(folder, "repeated"))
                job.put(Path(folder, "repeated"), f"repeated-{number}")
            output = NewFile(
                number=number,
                pieces=tuple(piece.number for piece in some),
                repeated=behind - first,
                accepted=accepted,
                snapshot_id=job.snapshot_id,
            )
            outputs, first = [*outputs, output], behind
        answers = self._ask([BulkTask(step="write", item=output.model_dump_json()) for output in outputs])
        return [FileWritten.model_validate_json(each) for each in answers]

    def _gather(self, name: str, parts: Sequence[str]) -> None:
        item = Gathered(name=f"{name}.parquet", parts=tuple(parts), snapshot_id=self._job.snapshot_id)
        if parts:
            self._ask([BulkTask(step="gather", item=item.model_dump_json())])


def repeated(shared: Sequence[pa.Table]) -> pa.Table:
    """The rows to be refused, by line: LINE, the place of the `key`, and the line of its FIRST row, or HELD.

    `shared` has for each key the rows that share it: LINE, and the lowest line in FIRST, which is HELD if the table has
    the key. A row that is refused for one key does not use up another: the rows are gone through in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(shared) == 1:
        again = shared[0].filter(pc.not_equal(shared[0].column(LINE), shared[0].column(FIRST)))
        return again.append_column("key", pa.repeat(0, again.num_rows)).sort_by(LINE)
    rows: dict[int, list[tuple[int, int]]] = {}
    for key, found in enumerate(shared):
        for row in found.to_pylist():
            rows.setdefault(row[LINE], []).append((key, row[FIRST]))
    taken: dict[tuple[int, int], int] = {}
    refused = []
    for line in sorted(rows):
        held = (each for each in rows[line] if each[1] == HELD)
        before = ((each[0], taken[each]) for each in rows[line] if each in taken)
        if clash := next(held, None) or next(before, None):
            refused.append({LINE: line, "key": clash[0], FIRST: clash[1]})
        else:
            taken |= dict.fromkeys(rows[line], line)
    return pa.Table.from_pylist(refused, schema=pa.schema([(name, pa.int64()) for name in (LINE, "key", FIRST)]))


def _size(piece: PieceRead) -> int:
    return piece.bytes


def _together(bounds: Sequence[Bounds | None]) -> Bounds | None:
    """The bounds of all pieces, None if those of one are not known."""
    known = [each for each in bounds if each is not None]
    if not known or len(known) < len(bounds):
        return None
    lows, highs = zip(*known, strict=True)
    return min(lows), max(highs)
