"""Send the rows of a file through the prediction function, in pieces that one call takes, and keep their order."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.console.actions.past import Pasts, Row, json_rows, read_pasts
from millrace.console.files.catalogue import head_of
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE, Contract, Table, parsed_schema
from millrace.contract.validate import Validator
from millrace.contract.violation import QuarantinedRow, key_text
from millrace.datasets.labelled_rows import columns_of
from millrace.errors import AnswerError, DropError
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.features.history import History
from millrace.features.known_ahead import KnownAhead
from millrace.files.catalogue import read_drop
from millrace.files.image import is_image
from millrace.files.origin import Origin
from millrace.settings.prediction import ROWS_PER_CALL
from millrace.tasks.answer import arrow_type
from millrace.tasks.task import AnswerField

CALL_BYTES = 4 * 2**20
"""The most bytes of rows in one call; Lambda takes 6 MB.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
OF_A_FILE = frozenset({Reason.DUPLICATE_KEY, Reason.NOT_FINITE})
"""Reasons that the function cannot give: it judges each row by itself, and JSON has no word for NaN."""
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
}
"""The columns of an answer after the task's own fields, with Arrow's types."""
ACTED = {"action": "string", "action_reason": "string"}
"""Columns after those, if the workload has a policy."""


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
    action: str | None = None
    """What is done with the answer, by the workload's policy; None without a policy or an answer."""
    action_reason: str | None = None
    unlisted: tuple[str, ...] = ()
    """The columns with a value outside of the contract's list, which the answer takes as unknown."""
    repeated: int = 0
    """How many rows of its past are at the time of an earlier one, which is the one that counts."""
    explanation: Mapping[str, Any] | None = None
    """What each part of the row added to the answer; None unless an explanation was requested."""

    def row(self, fields: Sequence[AnswerField], *, acted: bool = False) -> dict[str, Any]:
        """The answer as a row of a table, its columns in the order of `schema`."""
        output = {one.name: self.output.get(one.name) for one in fields}
        return {
            **{name: getattr(self, name) for name in BEFORE},
            **output,
            **{name: getattr(self, name) for name in (*AFTER, *(ACTED if acted else ()))},
        }


@dataclass(frozen=True, kw_only=True)
class SentRow:
    """A typed row in the form in which a request holds it."""

    line: int
    """Counted from 1, as in `RowAnswer`."""
    key: str | None
    cells: Row
    """By column; a past is a list of rows under its history's name."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file whose rows are all either to be sent or refused."""

    table: Table
    judged: Table
    """The table without generated columns, which the function fills."""
    typed: Path
    """A Parquet file with the rows to send, typed."""
    refused: tuple[RowAnswer, ...]
    """Rows that no request can hold, in the order of their lines."""
    pasts: Pasts
    """The rows that keep the contract: of rows with the same key the first, as in a drop."""
    fill: Callable[[pa.Table], pa.Table]
    """Takes rows, and fills in what later rows of the file say of later moments."""
    own_pasts: Mapping[int, Row]
    """The pasts that lines of JSON carry themselves: by line, then by the history's name."""


def schema(
    fields: Sequence[AnswerField], *, named: bool = False, acted: bool = False, explained: bool = False
) -> pa.Schema:
    """The Arrow schema of a file of answers with these fields, with ACTED if the workload has a policy.

    With `named` it has the text `class` right after `value`, with `explained` the text `explanation` at its end."""
    output = [(one.name, arrow_type(one)) for one in fields]
    if named:
        output.insert([name for name, _ in output].index("value") + 1, ("class", pa.string()))
    last = AFTER | (ACTED if acted else {})
    before, after = ([(name, getattr(pa, kind)()) for name, kind in names.items()] for names in (BEFORE, last))
    return pa.schema([*before, *output, *after, *([("explanation", pa.string())] if explained else [])])


def predict(
    client: Any,
    function: str,
    path: Path,
    contract: Contract,
    *,
    histories: Sequence[History] = (),
    ahead: KnownAhead | None = None,
    explain: bool = False,
) -> Iterator[RowAnswer]:
    """An answer to each row, in the order of the file. `client` is boto3's Lambda client.

    Each of `histories` takes a row's past from the other rows of the file, so the past of the first rows is too short.
    A line of JSON may carry its past itself, as a request does.
    Raises DropError, before the first call, if the file cannot become rows. Raises AnswerError if the function fails;
    the decisions on the rows answered by then are kept."""
    with TemporaryDirectory() as folder:
        opened = open_file(path, contract, Path(folder), histories, ahead)
        answered = ask(client, function, opened, explain=explain)
        # Both sides are in the order of lines, so a merge keeps the file's order without holding the answers in memory.
        yield from heapq.merge(opened.refused, answered, key=lambda answer: answer.line)


def open_file(
    path: Path, contract: Contract, folder: Path, histories: Sequence[History] = (), ahead: KnownAhead | None = None
) -> Opened:
    """The file as typed rows to score, below `folder`. Labels that are not inputs are left out.

    A row whose key an earlier row of the file has is refused, as in a drop. Raises DropError if the file cannot become
    rows."""
    table, typed = contract.table("scoring"), folder / "rows.parquet"
    # Names that the file may have and no request: labels, and pasts, which are read beside.
    labels = [name for column in contract.label_columns for name in (column.name, column.name_in_file)]
    others = {*labels, *(history.name for history in histories)} - table.name_of.keys()
    read = replace(table, ignored=(*table.ignored, *sorted(others)))
    # The function fills generated columns: none of them is judged here.
    judged = table
    for column in table.columns:
        judged = judged.without(column.name) if column.generated else judged
    validator, refused, known = Validator(judged), list[RowAnswer](), [parsed_schema(table).empty_table()]
    with pq.ParquetWriter(typed, parsed_schema(table), compression="zstd") as writer:
        for part in read_drop(path, read, origin=_origin(path)):
            result = validator.judge(part.rows)
            here = [row for row in result.refused if OF_A_FILE & {each.reason for each in row.violations}]
            lines = pa.array([row.line for row in here], pa.int64())
            rows = part.rows.select(parsed_schema(table).names)
            writer.write_table(rows.filter(pc.invert(pc.is_in(rows.column(LINE), lines))))
            refused += [refusal(row) for row in (*part.unparsable, *here)]
            if histories or ahead:
                known.append(result.accepted)
    names = list(dict.fromkeys((*columns_of(histories), *(ahead.reads if ahead else ()))))
    rows = pa.concat_tables([part.select(names) for part in known], promote_options="permissive")
    return Opened(
        table=table,
        judged=judged,
        typed=typed,
        refused=tuple(sorted(refused, key=lambda answer: answer.line)),
        pasts=Pasts(rows, histories),
        fill=partial(ahead.fill, later=rows) if ahead else lambda rows: rows,
        own_pasts=read_pasts(path, histories),
    )


def ask(client: Any, function: str, opened: Opened, *, explain: bool = False) -> Iterator[RowAnswer]:
    """The answers to the typed rows, in their order."""
    for piece in _pieces(_sendable(opened), most=most_rows(explain=explain)):
        yield from _call(client, function, piece, explain=explain)


def most_rows(*, explain: bool) -> int:
    """The most rows of one call."""
    return MOST_EXPLAINED if explain else ROWS_PER_CALL


def _origin(path: Path) -> Origin | None:
    """The origin of a file that is one image: its name is the key of its row. None for other files.

    Rows of other files need no origin: the prediction function fills generated columns itself."""
    if not is_image(head_of(path)):
        return None

    # A single image names no other objects.
    def fetch(key: str, _: str) -> bytes:
        raise DropError(Reason.MISSING, expected="an image", got=f"a name of one: {key}")

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Origin(name=path.name, at=datetime.now(UTC), digest=digest, fetch=fetch)


def _sendable(opened: Opened) -> Iterator[SentRow]:
    """The typed rows as a request holds them, each with its past: its own, or that found in the file."""
    with pq.ParquetFile(opened.typed) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_CALL):
            rows = opened.fill(pa.Table.from_batches([batch]))
            for row, cells in zip(rows.to_pylist(), json_rows(rows.drop_columns([LINE])), strict=True):
                line = row[LINE]
                past = opened.pasts.of(row) | opened.own_pasts.get(line, {})
                yield SentRow(line=line, key=key_text(row, opened.table) or None, cells=cells | past)


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


def refusal(row: QuarantinedRow) -> RowAnswer:
    first = row.violations[0]
    return RowAnswer(
        line=row.line or 0,
        key=row.key or None,
        reason=first.reason,
        column=first.column,
        expected=first.expected,
        came=first.got,
    )


def _call(client: Any, function: str, rows: list[SentRow], *, explain: bool) -> list[RowAnswer]:
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
    both = sorted([*document["predictions"], *document["rejected"]], key=lambda one: one["row"])
    if [one["row"] for one in both] != list(range(len(rows))):
        raise AnswerError(f"{function}: expected one answer to each of {len(rows)} rows, got {len(both)}")
    told = defaultdict[int, list[tuple[str, str]]](list)
    for one in document.get("warnings", ()):
        told[one["row"]].append((one["reason"], one["column"]))
    return [_answer(row, one, told.get(at, ())) for at, (row, one) in enumerate(zip(rows, both, strict=True))]


def _answer(row: SentRow, document: dict[str, Any], told: Sequence[tuple[str, str]]) -> RowAnswer:
    """One answer of the function as a RowAnswer: all fields that it does not give for every row are the task's own."""
    if "action" in document:
        # A policy's reason is none for which a row is refused.
        document["action_reason"] = document.pop("reason")
    said = {name: document[name] for name in ("id", "explanation", *AFTER, *ACTED) if name in document}
    if document.get("fallback"):
        said["phase"] = None  # no model answered
    output = {name: value for name, value in document.items() if name not in ("row", *said)}
    return RowAnswer(
        line=row.line,
        key=row.key,
        output=output,
        unlisted=tuple(column for reason, column in told if reason == Reason.ALLOWED),
        repeated=sum(reason == Reason.DUPLICATE_KEY for reason, _ in told),
        **said,
    )


def with_class(row: Mapping[str, Any], words: Mapping[Any, str]) -> dict[str, Any]:
    """A copy of the row with a column `class` right after `value`. Without `words` the row stays as it is."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found[name] = value
        if name == "value" and words:
            found["class"] = words.get(value)
    return found
