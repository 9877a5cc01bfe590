"""Reads JSON of AWS's services and tables of rows: files, folders of them, and the same in S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

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
