"""Decisions whose lines were absorbed: a Parquet file has the lines of a day, and a reference says which ones.

    electricity/decisions/date=1997-01-01/9f86….jsonl             lines, as the function `decisions` wrote them
    electricity/decisions/date=1997-01-01/_0000.absorbed          an AbsorbedLines: the objects that the file is made of
    electricity/decisions/absorbed/date=1997-01-01/0000.parquet   each line as it was, beside a few of its fields

`absorption` writes both. Once a reference has its `absorbed_at`, the file counts and the objects of lines do not. The
name of a reference begins with "_", so Athena's table of lines leaves it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.decisions import record
from millrace.messages.envelope import Message, Moment

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.aws.objects import RangedObject

FIELDS: Mapping[str, str] = {one.name: one.place for one in record.FIELDS if one.column == "cell"}
"""The columns of a file that have a field of the line each. Null if the line has no such field."""
OBJECTS = tuple(one.name for one in record.FIELDS if one.column == "object")
"""The columns that have an object of the line each, as its JSON. `key` is null if `record.to_line` wrote no such line:
its other fields may then be of any kind."""
NEEDED = ("id", "event_time", "inferred_at")
"""Each line of a file has these fields."""
COLUMNS: Mapping[str, str] = {
    **{one.name: one.kind.athena for one in record.FIELDS if one.column == "cell"},
    **dict.fromkeys((*OBJECTS, "line"), "string"),
}
"""The columns of a file with their types in Athena."""
ENDING = ".absorbed"
_CELLS = [f'"{one.name}":{one.kind.pattern},' for one in record.WRITTEN]
_EACH = [f"(?:{cell})?" if one.is_optional else cell for one, cell in zip(record.WRITTEN, _CELLS, strict=True)]
_OURS = re.compile(rf'"millrace":\{{{"".join(_EACH)[:-1]}\}}\}}$'.encode())
"""What `record.to_line` writes under "millrace", with the OBJECTS. A quote inside of a text has a backslash before it,
so that no text looks like a field."""


class AbsorbedLines(Message):
    """The objects that a file is made of: {"rows": {"9f86….jsonl": 48, "60d0….jsonl": null}, "absorbed_at": "…"}."""

    rows: dict[str, int | None]
    """The number of lines by the name of their object. None: the file does not have them (yet), and they stay lines."""
    absorbed_at: Moment | None = None
    """When the file was there. None: it is still to be written, of these objects and no others."""

    @property
    def taken(self) -> dict[str, int]:
        """The objects that do not count any more, since the file has their lines."""
        return {name: rows for name, rows in self.rows.items() if rows is not None} if self.absorbed_at else {}


def is_reference(key: str) -> bool:
    """Whether this is the key, or the name, of a reference."""
    return key.endswith(ENDING)


def reference_name(number: int) -> str:
    """The name of a day's reference: the first is `_0000.absorbed`."""
    return f"_{number:04d}{ENDING}"


def number_of(reference: str) -> int:
    """The number in the key, or the name, of a reference."""
    return int(reference.rpartition("_")[2].removesuffix(ENDING))


def file_of(reference: str) -> str:
    """The key of the file: `…/absorbed/date=1997-01-01/0000.parquet` of `…/date=1997-01-01/_0000.absorbed`."""
    decisions, _, day = reference.rpartition("/")[0].rpartition("/")
    return f"{decisions}/absorbed/{day}/{number_of(reference):04d}.parquet"


def table_of(body: bytes) -> pa.Table | None:
    """The lines of one object as rows of a file; None if one of them is not such a line as `record.to_line` writes.

    Arrow takes only the FIELDS out: to parse each line whole takes ten times as long. So a row does not say whether its
    line is a decision: each reader looks at that."""
    import pyarrow as pa
    import pyarrow.json as pj

    lines = body.splitlines()
    if not lines:
        return None
    # One block, since a line may be longer than Arrow's own blocks.
    whole = pj.ReadOptions(use_threads=False, block_size=len(body))
    wanted = pj.ParseOptions(explicit_schema=_nested(), unexpected_field_behavior="ignore")
    try:
        found = pj.read_json(pa.BufferReader(body), read_options=whole, parse_options=wanted)
        texts = pa.array(lines, pa.string())
    except pa.ArrowInvalid:  # no JSON, no UTF-8, or a field of another kind
        return None
    while any(pa.types.is_struct(field.type) for field in found.schema):
        found = found.flatten()
    rows = found.select(list(FIELDS.values())).rename_columns(list(FIELDS))
    # For Arrow a row ends with its last bracket, so that a line may have none or two.
    if rows.num_rows != len(lines) or any(rows[name].null_count for name in NEEDED):
        return None
    objects = zip(*map(_objects, lines), strict=True)
    for name, column in zip(OBJECTS, objects, strict=True):
        rows = rows.append_column(name, pa.array(column, pa.string()))
    return rows.append_column("line", texts)


def _objects(line: bytes) -> tuple[bytes | None, ...]:
    found = _OURS.search(line, max(line.rfind(b'"millrace":{'), 0))
    return found.groups() if found else (None,) * len(OBJECTS)


def write_file(path: Path, parts: Iterator[pa.Table]) -> None:
    """Write the tables to a file at this path, each as a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, kind) for name, kind in _kinds().items()])
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for part in parts:
            writer.write_table(part)


def read_file(file: str | RangedObject) -> Iterator[str]:
    """The lines of the file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=True) as parquet:
        for batch in parquet.iter_batches(columns=["line"]):
            yield from batch.column("line").to_pylist()


def lines_with_id(file: RangedObject, wanted: str) -> list[str]:
    """The lines with this id in the file."""
    import pyarrow.parquet as pq

    found = pq.read_table(file, columns=["line"], filters=[("id", "=", wanted)], page_checksum_verification=True)
    lines: list[str] = found.column("line").to_pylist()
    return lines


def _kinds() -> dict[str, pa.DataType]:
    """The Arrow type of each column."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "boolean": pa.bool_(), "double": pa.float64()}
    return {name: kinds[kind] for name, kind in COLUMNS.items()}


def _nested() -> pa.Schema:
    """The FIELDS as a schema of structs."""
    import pyarrow as pa

    kinds = _kinds()

    def fields(leaves: Mapping[str, pa.DataType]) -> list[pa.Field]:
        below: dict[str, dict[str, pa.DataType]] = {}
        for path, kind in leaves.items():
            head, _, rest = path.partition(".")
            below.setdefault(head, {})[rest] = kind
        return [pa.field(head, rest[""] if "" in rest else pa.struct(fields(rest))) for head, rest in below.items()]

    return pa.schema(fields({path: kinds[name] for name, path in FIELDS.items()}))
