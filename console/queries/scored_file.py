"""The answers to a scored file, row by row of that file: its own cells, then the answer or why there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.artefact.batch import ROW
from millrace.console.files.catalogue import TABLE_FILES
from millrace.files.lines import BOM, lines_of
from millrace.files.sniff import format_in

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.console.queries.quarantine import Row
    from millrace.contract.csv_form import CsvForm
    from millrace.contract.schema import Contract
    from millrace.tasks.task import AnswerField

REFUSED = ("refused", "refused_because")
"""The columns with the reason and the words of why a row has no answer; empty for an answered row."""
Cells = dict[str, Any]


def long_rows(row: Cells, fields: Iterable[AnswerField]) -> list[Cells]:
    """A row for each step of a forecast, or for each of several labels: the answer's lists cell by cell.

    A row without lists stays one."""
    lists = {field.name: row[field.name] for field in fields if isinstance(row.get(field.name), list)}
    steps = zip(*lists.values(), strict=True)
    return [row | dict(zip(lists, cells, strict=True)) for cells in steps] if lists else [row]


def scored_rows(
    sent: Path,
    contract: Contract,
    delivered: pa.Table | None,
    refused: Iterable[Row],
    *,
    long: Sequence[AnswerField] = (),
) -> list[Cells]:
    """Each row of the `sent` file in its order, with its answer; empty for a file that was refused whole.

    `delivered` is the file of predictions, None if no row has one. Both it and `refused` name the line in which a row
    begins; of a Parquet file the place of the row. An answer's column gets `_answer` at its end if the file has a
    column of its name. A row is there once for each cell of the lists of `long`."""
    table = contract.table("scoring")
    own = {*(column.name for column in contract.rows.columns), ROW}
    answered = delivered.to_pylist() if delivered is not None else []
    answers = {row[ROW]: {name: cell for name, cell in row.items() if name not in own} for row in answered}
    reasons = {row.line: dict(zip(REFUSED, (row.reason, row.detail), strict=True)) for row in refused if row.line}
    # Every record is answered or refused, so together they say where each one begins.
    begun = sorted({*answers, *reasons})
    if not begun:
        return []
    empty = dict.fromkeys((*(name for answer in answers.values() for name in answer), *REFUSED))
    records = list(RECORDS[format_in(sent, table)](sent, table.csv, begun))
    names = dict.fromkeys(name for record in records for name in record)
    found = []
    for line, record in zip(begun, records, strict=True):
        answer = empty | answers.get(line, {}) | reasons.get(line, {})
        for step in long_rows(answer, long):
            beside = {f"{name}_answer" if name in names else name: cell for name, cell in step.items()}
            found.append(dict.fromkeys(names) | record | beside)
    return found


def _of_csv(sent: Path, form: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    names = list(form.columns) or TABLE_FILES["csv"].column_names(sent, form)
    quoted = {"quotechar": form.quote} if form.quote else {"quoting": csv.QUOTE_NONE}
    lines = lines_of(sent.read_bytes().removeprefix(BOM))
    for first, after in zip(begun, [*begun[1:], len(lines) + 1], strict=True):
        text = b"\n".join(lines[first - 1 : after - 1]).decode(form.encoding, errors="replace").rstrip("\r\n")
        try:
            cells = next(csv.reader([text], delimiter=form.delimiter, skipinitialspace=True, **quoted), [])
        except csv.Error:  # such as a lone "\r" between texts
            cells = []
        # A broken record may have fewer or more cells than the file has names.
        yield dict(zip(names, cells, strict=False))


def _of_json(sent: Path, _: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    lines = lines_of(sent.read_bytes().removeprefix(BOM))
    for line in begun:
        try:
            found = json.loads(lines[line - 1])
        except (ValueError, RecursionError):
            found = None
        yield found if isinstance(found, dict) else {}


def _of_parquet(sent: Path, _: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    """Without columns of bytes: images would be most of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = [one.name for one in pq.read_schema(sent) if "binary" not in str(one.type)]
    rows = pq.read_table(sent, columns=kept).take(pa.array([line - 1 for line in begun], pa.int64()))
    return iter(rows.to_pylist()) if kept else iter([{} for _ in begun])


RECORDS: Mapping[str, Callable[[Path, CsvForm, Sequence[int]], Iterator[Cells]]] = {
    "csv": _of_csv,
    "jsonlines": _of_json,
    "parquet": _of_parquet,
}
"""By format: the records that begin in these lines, as the file holds them."""
