"""Reads what SageMaker's data capture has kept of an endpoint, and the labels that came later.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html shows a capture (here broken):

    {"captureData": {"endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "69,0,153.7", …},
                     "endpointOutput": {"observedContentType": "text/csv", "data": "0.025", "encoding": "CSV", …}},
     "eventMetadata": {"eventId": "aaaa…", "inferenceTime": "2022-02-14T17:25:49Z"}, "eventVersion": "0"}

…/model-monitor-model-quality-merge.html shows a label: {"groundTruthData": {"data": "1", "encoding": "CSV"}, …}.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from millrace.errors import ConfigurationError
from millrace.messages.envelope import Message, Moment

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.monitoring.statistics import ValueKind


ANSWER = "prediction"
"""The column of the answers, which are watched as the inputs are."""
ANSWER_KEYS = ("predicted_label", "prediction", "label", "score", "probability", "value")
"""Where an answer of named fields has its value, if nobody says so."""
NO_LABEL = ("", "nan")
"""What programs write where no label has come. As a class it would make classes of all numbers beside it."""
Record = Mapping[str, Any] | Sequence[Any]


class Body(Message):
    """One side of a call."""

    data: str
    encoding: Literal["CSV", "JSON", "BASE64"]
    observedContentType: str = ""


class CaptureData(Message):
    """Both sides of a call."""

    endpointInput: Body
    endpointOutput: Body | None = None


class Event(Message):
    """Which call it was."""

    eventId: str
    inferenceId: str = ""
    """The caller's own name of the call."""


class CapturedEvent(Event):
    """Which call it was, and when."""

    inferenceTime: Moment


class Capture(Message):
    """One line of a capture."""

    captureData: CaptureData
    eventMetadata: CapturedEvent


class GroundTruth(Message):
    """One line of the labels that Model Monitor merges with captures."""

    groundTruthData: Body
    eventMetadata: Event


@dataclass(frozen=True, kw_only=True)
class Captured:
    """The captured rows in order of time. Axis: N rows."""

    cells: list[dict[str, Any]]
    """The inputs of each row as they came, and the answer as ANSWER where it was captured."""
    table: pa.Table
    """The same in columns: numbers and texts."""
    times: list[datetime]
    labels: list[str | None]
    """The label of each row; None where none has come."""


def read(
    paths: Iterable[str],
    *,
    columns: Sequence[str] = (),
    kinds: Mapping[str, ValueKind] = MappingProxyType({}),
    answer: str = "",
    labels: Iterable[str] = (),
) -> Captured:
    """The rows of the captures. `columns` names the cells of CSV, `answer` the field or place of an answer's value.

    `kinds` says which columns are numbers and which categories; of others their cells say it.
    Raises ConfigurationError, with file and line, for what is no capture and for a body that is not CSV or JSON."""
    if len({*columns}) < len(columns):
        raise ConfigurationError(
            where="captures", field="--columns", expected="each name once", came=", ".join(columns)
        )
    truth = _labels(labels)
    rows: list[tuple[datetime, dict[str, Any], str | None]] = []
    for where, capture in documents(paths, Capture, ending=".jsonl"):
        data, event = capture.captureData, capture.eventMetadata
        inputs = [_named(where, record, columns) for record in records(where, data.endpointInput)]
        answers = _answers(where, data.endpointOutput, len(inputs), answer)
        known = truth.get(event.inferenceId) or truth.get(event.eventId) or [None] * len(inputs)
        _same_number(where, "groundTruthData", len(inputs), known)
        for cells, value, label in zip(inputs, answers, known, strict=True):
            rows.append((event.inferenceTime, cells | ({} if value is None else {ANSWER: value}), label))
    rows.sort(key=lambda row: row[0])
    inputs = [cells for _, cells, _ in rows]
    return Captured(
        cells=inputs,
        table=table_of(inputs, kinds),
        times=[at for at, _, _ in rows],
        labels=[label for _, _, label in rows],
    )


def records(where: str, body: Body) -> list[Record]:
    """The rows of a body: lists of cells, or mappings by name.

    JSON may have `instances`, `predictions` or `features`, as the built-in algorithms do, or a row in each line."""
    text, encoding = body.data, body.encoding
    if encoding == "BASE64":
        kind = body.observedContentType.partition(";")[0].strip().lower()
        encoding = "CSV" if kind.endswith("csv") else "JSON"
        if not kind.endswith(("csv", "json", "jsonlines")):
            raise ConfigurationError(where=where, field="observedContentType", expected="CSV or JSON", came=kind)
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ConfigurationError(where=where, field="data", expected="base64 of text", came=text) from None
    if encoding == "CSV":
        return [row for row in csv.reader(text.splitlines()) if row]
    try:
        return _rows_of(_json(text))
    except ValueError:
        raise ConfigurationError(where=where, field="data", expected="JSON", came=text) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _rows_of(value: Any) -> list[Record]:
    if isinstance(value, dict):
        several = next(
            (value[name] for name in ("instances", "predictions") if isinstance(value.get(name), list)), None
        )
        if several is not None:
            return [_row_of(one) for one in several]
        return [_row_of(value)]
    if isinstance(value, list) and value and all(isinstance(one, dict | list) for one in value):
        return [_row_of(one) for one in value]
    return [_row_of(value)]


def _row_of(value: Any) -> Record:
    if isinstance(value, dict):
        return value["features"] if isinstance(value.get("features"), list) else value
    return value if isinstance(value, list) else [value]


def _named(where: str, record: Record, columns: Sequence[str]) -> dict[str, Any]:
    """The cells by name. Without names they are `_c0`, `_c1` …, as Model Monitor calls them."""
    if isinstance(record, Mapping):
        return dict(record)
    names = columns or [f"_c{place}" for place in range(len(record))]
    if len(names) != len(record):
        expected = f"{len(names)} cells: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        raise ConfigurationError(where=where, field="endpointInput.data", expected=expected, came=len(record))
    return dict(zip(names, record, strict=True))


def _answers(where: str, body: Body | None, rows: int, wanted: str) -> list[Any]:
    if body is None:
        return [None] * rows
    found = records(where, body)
    # One line of CSV may answer several rows.
    if len(found) == 1 and rows > 1 and isinstance(found[0], list):
        found = [[cell] for cell in found[0]]
    _same_number(where, "endpointOutput.data", rows, found)
    return [_value(where, record, wanted) for record in found]


def _value(where: str, record: Record, wanted: str) -> Any:
    """The answer's value: the wanted field or place, else the one that is usual, else the first."""
    if isinstance(record, Mapping):
        name = next((key for key in ((wanted,) if wanted else ANSWER_KEYS) if key in record), "")
        if not name and not wanted and len(record) == 1:
            name = next(iter(record))
        if not name:
            came = list(record)
            raise ConfigurationError(
                where=where, field="endpointOutput.data", expected=f"a field {wanted or 'named by --answer'}", came=came
            )
        value = record[name]
    else:
        place = int(wanted) if wanted.isdecimal() else 0
        if place >= len(record):
            expected = f"{place + 1} cells at least"
            raise ConfigurationError(where=where, field="endpointOutput.data", expected=expected, came=len(record))
        value = record[place]
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _labels(paths: Iterable[str]) -> dict[str, list[str | None]]:
    """The labels of each call, one for each of its rows."""
    found: dict[str, list[str | None]] = {}
    for where, line in documents(paths, GroundTruth, ending=".jsonl"):
        cells = [_value(where, record, "") for record in records(where, line.groundTruthData)]
        found[line.eventMetadata.inferenceId or line.eventMetadata.eventId] = [
            None if cell is None or str(cell).strip().lower() in NO_LABEL else str(cell) for cell in cells
        ]
    return found


def _same_number(where: str, field: str, rows: int, found: Sequence[Any]) -> None:
    if len(found) != rows:
        raise ConfigurationError(where=where, field=field, expected=f"one for each of {rows} rows", came=len(found))


def table_of(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, ValueKind]) -> pa.Table:
    """The rows as a table: numbers in float64, all else as text. A cell that is no number is missing among numbers."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows], kinds.get(name)) for name in names})


def _column(cells: Sequence[Any], kind: ValueKind | None) -> pa.ChunkedArray:
    import pyarrow as pa

    cells = [None if cell is None or cell == "" else cell for cell in cells]
    numbers = [] if kind == "categorical" else [number_of(cell) for cell in cells]
    if kind == "numeric" or (numbers and numbers.count(None) == cells.count(None)):
        return pa.chunked_array([pa.array(numbers, pa.float64())])
    texts = [str(cell).lower() if isinstance(cell, bool) else None if cell is None else str(cell) for cell in cells]
    return pa.chunked_array([pa.array(texts, pa.string())])


def number_of(cell: Any) -> float | None:
    """The cell as a number; None if it is none."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


Parsed = TypeVar("Parsed", bound=BaseModel)


def contents(paths: Iterable[str], *, ending: str) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each file, in the order of their names; of a folder only files with this ending.

    A path is a file or a folder, on disk or as `s3://<bucket>/<key>`. Raises ConfigurationError for a path without a
    file."""
    for path in paths:
        is_empty = True
        for name, content in _in_s3(path, ending) if path.startswith("s3://") else _on_disk(Path(path), ending):
            is_empty = False
            yield name, content
        if is_empty:
            expected = f"a file, or a folder with files {ending}"
            raise ConfigurationError(where=path, field="PATH", expected=expected, came="none")


def _on_disk(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    for file in [path] if path.is_file() else sorted(path.rglob(f"*{ending}")):
        if file.is_file():
            yield str(file), file.read_bytes()


def _in_s3(uri: str, ending: str) -> Iterator[tuple[str, bytes]]:
    import boto3

    from millrace.aws.objects import keys_below, read_object, split_uri

    client, (bucket, path) = boto3.client("s3"), split_uri(uri)
    for key in keys_below(client, bucket, path):
        # The prefix `AllTraffic` has the keys of the folder `AllTraffic-2` too.
        if key == path or (key.startswith(f"{path.rstrip('/')}/") and key.endswith(ending)):
            yield f"s3://{bucket}/{key}", read_object(client, f"s3://{bucket}/{key}")


def document(path: str, kind: type[Parsed]) -> Parsed:
    """The file as `kind`."""
    where, content = next(contents([path], ending=".json"))
    return parsed(where, content, kind)


def documents(paths: Iterable[str], kind: type[Parsed], *, ending: str) -> Iterator[tuple[str, Parsed]]:
    """Each line of the files as `kind`, with its place `<file>:<line>`."""
    for name, content in contents(paths, ending=ending):
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                yield f"{name}:{number}", parsed(f"{name}:{number}", line, kind)


def parsed(where: str, content: bytes | str, kind: type[Parsed]) -> Parsed:
    """The document as `kind`. Raises ConfigurationError, which names the place, the field, expected and came."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "JSON"
        expected, came = first["msg"].removeprefix("Input should be "), first["input"]
        if first["type"] == "missing":
            expected, came = "this field", "none"
        elif first["type"] == "json_invalid":
            expected = f"a document ({expected.removeprefix('Invalid JSON: ')})"
        raise ConfigurationError(
            where=where,
            field=field,
            expected=expected,
            came=came.decode(errors="replace") if isinstance(came, bytes) else came,
        ) from None


def read_table(
    path: str, *, headers: Sequence[str] | None = None, texts: Sequence[str] = (), times: Sequence[str] = ()
) -> pa.Table:
    """The rows of a CSV, JSON lines or Parquet file; `headers` names the columns of a CSV file without a line of names.

    Cells of `texts` in CSV, such as `007`, and of `times` there and in JSON lines stay as they are written.

    Raises ConfigurationError for any other file."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    def read_csv(file: pa.BufferReader) -> pa.Table:
        kinds = dict.fromkeys((*texts, *times), pa.string())
        kept = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=True)
        return pyarrow.csv.read_csv(
            file, pyarrow.csv.ReadOptions(column_names=headers), convert_options=kept if kinds else None
        )

    def read_lines(file: pa.BufferReader) -> pa.Table:
        kinds = pa.schema([(name, pa.string()) for name in times])
        return pyarrow.json.read_json(file, parse_options=pyarrow.json.ParseOptions(explicit_schema=kinds))

    readers = {".csv": read_csv, ".jsonl": read_lines, ".parquet": pyarrow.parquet.read_table}
    if (ending := PurePosixPath(path).suffix) not in readers:
        raise ConfigurationError(where=path, field="rows", expected=f"a file {', '.join(readers)}", came=ending)
    where, content = next(contents([path], ending=ending))
    try:
        return readers[ending](pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        expected = f"rows as {ending} has them"
        raise ConfigurationError(where=where, field="rows", expected=expected, came=str(error)) from None
