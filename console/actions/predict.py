"""The rows of a file through the prediction function, in pieces that one call takes, answered in their order."""

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
"""Of the rows of one call; Lambda takes 6 MB. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
LINE_BYTES = 2**20
BEFORE = {"line": "int64", "key": "string", "id": "string"}
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
"""The columns of an answer before and after the task's own fields, with Arrow's types."""


@dataclass(frozen=True, kw_only=True)
class RowAnswer:
    """The result for one row: a prediction with the id of its decision, or the reason why there is none."""

    line: int
    """The line of a text file, the row of a Parquet file, 1-based."""
    key: str | None = None
    """What the contract knows the row by: its time, its number, of an image the name of its file without the suffix."""
    id: str | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the task's answer; empty for a row that was refused."""
    model_version: str | None = None
    phase: str | None = None
    fallback: bool | None = None
    reason: str | None = None
    column: str | None = None
    expected: str | None = None
    came: str | None = None
    also: str | None = None
    """Every further rule that the row breaks, in sentences."""
    explanation: Mapping[str, Any] | None = None
    """What each part of the row added to the answer, where that was wanted."""

    def row(self, task: Task) -> dict[str, Any]:
        """The answer as a row of a table, in the order of `schema`."""
        output = {one.name: self.output.get(one.name) for one in task.answer}
        return {
            **{name: getattr(self, name) for name in BEFORE},
            **output,
            **{name: getattr(self, name) for name in AFTER},
        }


@dataclass(frozen=True, kw_only=True)
class SentRow:
    """A typed row as a request holds it."""

    line: int
    key: str | None
    cells: Mapping[str, Any]
    """A time as ISO text, bytes as base64 text; with its past where one is read."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file of which every row is typed or refused."""

    table: Table
    """The contract's, as the file keeps it."""
    typed: Path
    refused: tuple[RowAnswer, ...]
    pasts: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """By line, the past that a line of JSON holds itself, by the history's name."""


def schema(task: Task, *, explained: bool = False) -> pa.Schema:
    """Of a file of answers, with a line of `explanation` where they are explained."""
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
    """An answer to each row, in the order of the file; `client` is boto3's Lambda client.

    The past that each of `histories` reads is taken from the file's other rows, of whose first ones it is too short; a
    line of JSON may hold it itself, as a request does.
    Raises DropError, before the first call, for a file that cannot become rows, and AnswerError when the function
    fails: what was answered by then has its decisions."""
    with TemporaryDirectory() as folder:
        opened = open_file(path, contract, Path(folder), histories)
        answered = ask(client, function, opened, histories, explain=explain)
        yield from heapq.merge(opened.refused, answered, key=lambda answer: answer.line)


def open_file(path: Path, contract: Contract, folder: Path, histories: Sequence[History] = ()) -> Opened:
    """The file as scoring rows; labels that are no inputs are left out. Raises DropError."""
    pasts = read_pasts(path, [history.name for history in histories])
    typed = folder / "rows.parquet"

    def opened(feed: Feed, labels: Sequence[str] = ()) -> Opened:
        return _typed(path, contract.table(feed), typed, labels=labels, pasts=pasts)

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
    """Whether the first line is a JSON object with one of these fields, which refuse no file of JSON lines whole."""
    with path.open("rb") as file:
        try:
            first = json.loads(file.readline(LINE_BYTES))
        except ValueError:
            return False
    return isinstance(first, dict) and not names.isdisjoint(first)


def ask(
    client: Any, function: str, opened: Opened, histories: Sequence[History] = (), *, explain: bool = False
) -> Iterator[RowAnswer]:
    """The answers to the typed rows, in order."""
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
    import pyarrow.parquet as pq

    refused: list[RowAnswer] = []
    kept = table
    for label in labels:
        kept = kept.without(label)
    held = sorted({name for past in pasts.values() for name in past})
    read = replace(table, ignored=(*table.ignored, *held))
    with pq.ParquetWriter(typed, parsed_schema(kept), compression="zstd") as writer:
        for part in read_drop(path, read, origin=_origin(path)):
            writer.write_table(part.rows.select(parsed_schema(kept).names))
            refused += [_refusal(row.line or 0, row.key or None, row.violations) for row in part.unparsable]
    refused.sort(key=lambda answer: answer.line)
    return Opened(table=kept, typed=typed, refused=tuple(refused), pasts=pasts)


def _origin(path: Path) -> Origin | None:
    """Of a lone image, whose key is its name; other rows have what the function fills generated columns with."""
    with path.open("rb") as file:
        if not is_image(file.read(HEAD_BYTES)):
            return None

    def fetch(key: str, _: str) -> bytes:
        raise DropError(Reason.MISSING, expected="an image", got=f"a name of one: {key}")

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Origin(name=path.name, at=datetime.now(UTC), digest=digest, fetch=fetch)


def _sendable(opened: Opened, histories: Sequence[History]) -> Iterator[SentRow]:
    import pyarrow.parquet as pq

    singles = {column.name for column in opened.table.columns if column.kind == "float32"}

    def as_json(name: str, cell: Any) -> Any:
        return _plain(cell, single=name in singles)

    past = FilePast(opened.typed, opened.table, histories, as_json=as_json)
    with pq.ParquetFile(opened.typed) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_CALL):
            for row in batch.to_pylist():
                line, key = row.pop(LINE), key_text(row, opened.table) or None
                own = opened.pasts.get(line, {})
                cells = {name: as_json(name, cell) for name, cell in row.items()} | past.of(row) | own
                yield SentRow(line=line, key=key, cells=cells)


def _plain(cell: Any, *, single: bool) -> Any:
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, bytes):
        return to_base64(cell)
    if single and cell is not None:
        import numpy as np

        return float(str(np.float32(cell)))  # the shortest number that is this float32: as the file had it
    return cell


def _pieces(rows: Iterable[SentRow], *, most: int = ROWS_PER_CALL) -> Iterator[list[SentRow]]:
    piece: list[SentRow] = []
    size = 0
    for row in rows:
        came = len(json.dumps(row.cells).encode())
        if piece and (len(piece) == most or size + came > CALL_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += came
    if piece:
        yield piece


def _unsendable(row: SentRow, table: Table) -> RowAnswer | None:
    """The refusal of a row with NaN or infinity, which JSON cannot hold; the function refuses other rows itself."""
    if all(not isinstance(cell, float) or math.isfinite(cell) for cell in row.cells.values()):
        return None
    return _refusal(row.line, row.key, _violations(row, table))


def _violations(row: SentRow, table: Table) -> tuple[RuleViolation, ...]:
    """Every rule that the row breaks, without its past."""
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
    """What the function does not say of every row is the task's answer; a fallback is of no phase, as of no model.

    Of a refused row the function says the first rule that it breaks; the others are those that are broken here."""
    if document.get("fallback"):
        document["phase"] = None
    said = {"id", "explanation", *AFTER}
    if "reason" in document:
        said_first = (document["reason"], document.get("column"))
        others = [each for each in _violations(row, table) if (each.reason, each.column) != said_first]
        document["also"] = _sentences(others)
    output = {name: document.pop(name) for name in list(document) if name not in said}
    return RowAnswer(line=row.line, key=row.key, output=output, **document)
