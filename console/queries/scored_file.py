"""The answers to a scored file, row by row of that file: its own cells, then the answer or why there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.files.catalogue import TABLE_FILES
from millrace.artefact.batch import ROW
from millrace.files.lines import BOM, lines_of
from millrace.files.sniff import format_in

if TYPE_CHECKING:
    import pyarrow as pa

    from console.queries.quarantine import Row
    from millrace.contract.csv_form import CsvForm
    from millrace.contract.schema import Contract

REFUSED = ("refused", "refused_because")
"""The columns with the reason and the words of why a row has no answer; empty for an answered row."""
MOMENT = "predicted_for"
"""The column with the moment whose label an answer is, where that lies hours ahead."""
Cells = dict[str, Any]


def with_moments(delivered: pa.Table, event_time: str, horizons_hours: Sequence[float]) -> pa.Table:
    """The predictions with a column of the moment that each is for: so long after its row.

    With several horizons it is a list with the moment of each, as text, beside the lists of the answer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.timestamp("us", getattr(delivered.schema.field(event_time).type, "tz", None))
    known = delivered[event_time].cast(kind)
    columns = [pc.add(known, pa.scalar(timedelta(hours=hours), pa.duration("us"))) for hours in horizons_hours]
    if len(columns) == 1:
        return delivered.append_column(MOMENT, columns[0])
    texts = [[None if moment is None else moment.isoformat() for moment in column.to_pylist()] for column in columns]
    return delivered.append_column(MOMENT, pa.array(list(map(list, zip(*texts, strict=True))), pa.list_(pa.string())))


def scored_rows(sent: Path, contract: Contract, delivered: pa.Table | None, refused: Iterable[Row]) -> list[Cells]:
    """Each row of the `sent` file in its order, with its answer; empty for a file that was refused whole.

    `delivered` is the file of predictions, None if no row has one. Both it and `refused` name the line in which a row
    begins; of a Parquet file the place of the row. An answer's column gets `_answer` at its end if the file has a
    column of its name."""
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
        beside = {f"{name}_answer" if name in names else name: cell for name, cell in answer.items()}
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
