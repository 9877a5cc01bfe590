"""Send the rows of a file through the prediction function, in pieces that one call takes, and keep their order."""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from console.actions.past import FilePast, read_pasts
from millrace.contract.kinds import to_base64
from millrace.contract.reasons import Reason
from millrace.contract.row import check_row
from millrace.contract.schema import LINE, Contract, Feed, Table, parsed_schema
from millrace.contract.violation import RuleViolation, key_text
from millrace.errors import AnswerError, DropError
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.files.image import is_image
from millrace.files.origin import Origin
from millrace.files.sniff import HEAD_BYTES, read_drop
from millrace.settings.prediction import ROWS_PER_CALL
from millrace.tasks.answer import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.features.history import History
    from millrace.tasks.task import Task

CALL_BYTES = 4 * 2**20
"""The most bytes of rows in one call; Lambda takes 6 MB.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
LINE_BYTES = 2**20
"""The most bytes of the first line that are read to see whether it is a JSON object."""
BEFORE = {"line": "int64", "key": "string", "id": "string"}
"""The columns of an answer before the task's own fields, with Arrow's types."""
AFTER = {
    "model_version": "string",
    "phase": "string",
    "fallback": "bool_",
    "reason": "string",
    "column": "string",
    "expected": "string",
    "came": "string",
    "also": "string",
}
"""The columns of an answer after the task's own fields, with Arrow's types."""


@dataclass(frozen=True, kw_only=True)
class RowAnswer:
    """The result for one row: a prediction with the id of its decision, or the reason why there is none."""

    line: int
    """The line in a text file, or the row in a Parquet file, counted from 1."""
    key: str | None = None
    """The contract's key of the row: its time, its number, or of an image its file's name without the suffix."""
    id: str | None = None
    """The id of the decision; None for a row that was refused."""
    output: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the task's answer; empty for a row that was refused."""
    model_version: str | None = None
    phase: str | None = None
    fallback: bool | None = None
    reason: str | None = None
    """The first rule that the row breaks, with its `column`, `expected` and `came`; None for a row that was
    answered."""
    column: str | None = None
    expected: str | None = None
    came: str | None = None
    also: str | None = None
    """All other rules that the row breaks, in sentences."""
    explanation: Mapping[str, Any] | None = None
    """What each part of the row added to the answer; None unless an explanation was requested."""

    def row(self, task: Task) -> dict[str, Any]:
        """The answer as a row of a table, its columns in the order of `schema`."""
        output = {one.name: self.output.get(one.name) for one in task.answer}
        return {
            **{name: getattr(self, name) for name in BEFORE},
            **output,
            **{name: getattr(self, name) for name in AFTER},
        }


@dataclass(frozen=True, kw_only=True)
class SentRow:
    """A typed row in the form in which a request holds it."""

    line: int
    """Counted from 1, as in `RowAnswer`."""
    key: str | None
    cells: Mapping[str, Any]
    """By column: a time as ISO text, bytes as base64 text. A past is a list of rows under its history's name."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file whose rows are all either typed or refused."""

    table: Table
    """The contract's table with the columns that were kept."""
    typed: Path
    """A Parquet file with the typed rows."""
    refused: tuple[RowAnswer, ...]
    """Rows that could not be typed, in the order of their lines."""
    pasts: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """The pasts that lines of JSON carry themselves: by line, then by the history's name."""


def schema(task: Task, *, explained: bool = False) -> pa.Schema:
    """The Arrow schema of a file of answers. With `explained` it has a text column `explanation` at its end."""
    import pyarrow as pa

    output = [(one.name, arrow_type(one)) for one in task.answer]
    before, after = ([(name, getattr(pa, kind)()) for name, kind in names.items()] for names in (BEFORE, AFTER))
    return pa.schema([*before, *output, *after, *([("explanation", pa.string())] if explained else [])])


def predict(
    client: Any,
    function: str,
    path: Path,
    contract: Contract,
    *,
    histories: Sequence[History] = (),
    explain: bool = False,
) -> Iterator[RowAnswer]:
    """An answer to each row, in the order of the file. `client` is boto3's Lambda client.

    Each of `histories` takes a row's past from the other rows of the file, so the past of the first rows is too short.
    A line of JSON may carry its past itself, as a request does.
    Raises DropError, before the first call, if the file cannot become rows. Raises AnswerError if the function fails;
    the decisions on the rows answered by then are kept."""
    with TemporaryDirectory() as folder:
        opened = open_file(path, contract, Path(folder), histories)
        answered = ask(client, function, opened, histories, explain=explain)
        # Both sides are in the order of lines, so a merge keeps the file's order without holding the answers in memory.
        yield from heapq.merge(opened.refused, answered, key=lambda answer: answer.line)


def open_file(path: Path, contract: Contract, folder: Path, histories: Sequence[History] = ()) -> Opened:
    """The file as typed rows to score, below `folder`. Labels that are not inputs are left out.

    Raises DropError if the file cannot become rows."""
    pasts = read_pasts(path, [history.name for history in histories])
    typed = folder / "rows.parquet"

    def opened(feed: Feed, labels: Sequence[str] = ()) -> Opened:
        return _typed(path, contract.table(feed), typed, labels=labels, pasts=pasts)

    # Three cases. The label is an input: the file is read with it. The first JSON line has the label: the file is read
    # as a training file. Else it is read as a scoring file, and again as a training file if the columns do not fit; the
    # first error is reported if neither fits.
    if contract.label.is_input:
        return opened("scoring")
    labels = [column.name for column in contract.label_columns]
    if _lines_have(path, {name for column in contract.label_columns for name in (column.name, column.name_in_file)}):
        return opened("training", labels)
    try:
        return opened("scoring")
    except DropError as error:
        if error.reason != Reason.COLUMNS:
            raise
        try:
            return opened("training", labels)
        except DropError:
            raise error from None


def _lines_have(path: Path, names: Set[str]) -> bool:
    """Whether the first line is a JSON object with one of these fields.

    A file of JSON lines is never refused whole for an additional field, so its label has to be looked for here."""
    with path.open("rb") as file:
        try:
            first = json.loads(file.readline(LINE_BYTES))
        except ValueError:
            return False
    return isinstance(first, dict) and not names.isdisjoint(first)


def ask(
    client: Any, function: str, opened: Opened, histories: Sequence[History] = (), *, explain: bool = False
) -> Iterator[RowAnswer]:
    """The answers to the typed rows, in their order."""
    for piece in _pieces(_sendable(opened, histories), most=MOST_EXPLAINED if explain else ROWS_PER_CALL):
        rows, refused = [], []
        for row in piece:
            found = _unsendable(row, opened.table)
            if found:
                refused.append(found)
            else:
                rows.append(row)
        answered = _call(client, function, rows, opened.table, explain=explain) if rows else []
        yield from sorted([*refused, *answered], key=lambda answer: answer.line)


def _typed(
    path: Path, table: Table, typed: Path, *, labels: Sequence[str], pasts: Mapping[int, dict[str, Any]]
) -> Opened:
    """The file as typed rows of the table without its labels; `typed` is the Parquet file that is written."""
    import pyarrow.parquet as pq

    refused: list[RowAnswer] = []
    kept = table
    for label in labels:
        kept = kept.without(label)
    # The reader would refuse the field of a past as unknown; it was read by `read_pasts`.
    held = sorted({name for past in pasts.values() for name in past})
    read = replace(table, ignored=(*table.ignored, *held))
    with pq.ParquetWriter(typed, parsed_schema(kept), compression="zstd") as writer:
        for part in read_drop(path, read, origin=_origin(path)):
            writer.write_table(part.rows.select(parsed_schema(kept).names))
            refused += [_refusal(row.line or 0, row.key or None, row.violations) for row in part.unparsable]
    # `heapq.merge` needs them in order.
    refused.sort(key=lambda answer: answer.line)
    return Opened(table=kept, typed=typed, refused=tuple(refused), pasts=pasts)


def _origin(path: Path) -> Origin | None:
    """The origin of a file that is one image: its name is the key of its row. None for other files.

    Rows of other files need no origin: the prediction function fills generated columns itself."""
    with path.open("rb") as file:
        if not is_image(file.read(HEAD_BYTES)):
            return None

    # A single image names no other objects.
    def fetch(key: str, _: str) -> bytes:
        raise DropError(Reason.MISSING, expected="an image", got=f"a name of one: {key}")

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Origin(name=path.name, at=datetime.now(UTC), digest=digest, fetch=fetch)


def _sendable(opened: Opened, histories: Sequence[History]) -> Iterator[SentRow]:
    """The typed rows as a request holds them, each with its past."""
    import pyarrow.parquet as pq

    singles = {column.name for column in opened.table.columns if column.kind == "float32"}

    def as_json(name: str, cell: Any) -> Any:
        return _plain(cell, single=name in singles)

    past = FilePast(opened.typed, opened.table, histories, as_json=as_json)
    with pq.ParquetFile(opened.typed) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_CALL):
            for row in batch.to_pylist():
                line, key = row.pop(LINE), key_text(row, opened.table) or None
                # The past that the line carries itself wins over the one found in the file.
                own = opened.pasts.get(line, {})
                cells = {name: as_json(name, cell) for name, cell in row.items()} | past.of(row) | own
                yield SentRow(line=line, key=key, cells=cells)


def _plain(cell: Any, *, single: bool) -> Any:
    """The cell as JSON holds it; `single` says that the column is of float32."""
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, bytes):
        return to_base64(cell)
    if single and cell is not None:
        import numpy as np

        return float(str(np.float32(cell)))  # the shortest number that is this float32: as the file had it
    return cell


def _pieces(rows: Iterable[SentRow], *, most: int = ROWS_PER_CALL) -> Iterator[list[SentRow]]:
    """The rows in lists of at most `most` rows and about CALL_BYTES bytes."""
    piece: list[SentRow] = []
    size = 0
    for row in rows:
        came = len(json.dumps(row.cells).encode())
        # A row larger than CALL_BYTES still goes, in a piece of its own.
        if piece and (len(piece) == most or size + came > CALL_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += came
    if piece:
        yield piece


def _unsendable(row: SentRow, table: Table) -> RowAnswer | None:
    """The refusal of a row with NaN or infinity, which JSON cannot hold; None for a row that can be sent.

    The function refuses all other bad rows itself."""
    if all(not isinstance(cell, float) or math.isfinite(cell) for cell in row.cells.values()):
        return None
    return _refusal(row.line, row.key, _violations(row, table))


def _violations(row: SentRow, table: Table) -> tuple[RuleViolation, ...]:
    """Every rule that the row breaks; its past is not checked."""
    return check_row({name: row.cells[name] for name in table.names}, table)


def _refusal(line: int, key: str | None, violations: Sequence[RuleViolation]) -> RowAnswer:
    first, *others = violations
    return RowAnswer(
        line=line,
        key=key,
        reason=first.reason,
        column=first.column,
        expected=first.expected,
        came=first.got,
        also=_sentences(others),
    )


def _sentences(violations: Sequence[RuleViolation]) -> str | None:
    return "; ".join(each.sentence for each in violations) or None


def _call(client: Any, function: str, rows: list[SentRow], table: Table, *, explain: bool) -> list[RowAnswer]:
    """The answers to these rows in one call. Raises AnswerError unless the function answers each row exactly once."""
    request = {"rows": [row.cells for row in rows]} | ({"explain": True} if explain else {})
    answer = client.invoke(FunctionName=function, Payload=json.dumps(request).encode())
    document = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise AnswerError(
            f"{function}: expected predictions, got {document.get('errorType')}: {document.get('errorMessage')}"
        )
    if "predictions" not in document:
        raise AnswerError(f"{function}: expected predictions, got {json.dumps(document)[:300]}")
    both = [*document["predictions"], *document["rejected"]]
    if sorted(one["row"] for one in both) != list(range(len(rows))):
        raise AnswerError(f"{function}: expected one answer to each of {len(rows)} rows, got {len(both)}")
    return [_answer(rows[one.pop("row")], one, table) for one in both]


def _answer(row: SentRow, document: dict[str, Any], table: Table) -> RowAnswer:
    """One answer of the function as a RowAnswer.

    All fields that the function does not give for every row are the task's own answer. A fallback has no phase, as no
    model answered. For a refused row the function names only the first broken rule; the others are found here."""
    if document.get("fallback"):
        document["phase"] = None
    said = {"id", "explanation", *AFTER}
    if "reason" in document:
        said_first = (document["reason"], document.get("column"))
        others = [each for each in _violations(row, table) if (each.reason, each.column) != said_first]
        document["also"] = _sentences(others)
    output = {name: document.pop(name) for name in list(document) if name not in said}
    return RowAnswer(line=row.line, key=row.key, output=output, **document)
