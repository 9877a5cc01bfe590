"""Reads JSON lines: one object per line, in strict JSON. Any other line is quarantined, the others are read.

In a manifest cells of images name objects, each in one version:
`{"id": "a17", "image": {"object": "2024/a17.png", "version_id": "3sL4…"}}`. The object is below
`<workload>/objects/`. Without the version a retried drop could get another image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract import strict_json
from millrace.contract.kinds import FLOATS, TIMES, Kind, arrow_type, has_json_type, to_base64, to_float
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation, key_text, of_line, truncate
from millrace.errors import DropError
from millrace.files.file_format import FileFormat
from millrace.files.lines import blocks, lines_of, raw_text
from millrace.files.origin import Origin, image_columns
from millrace.files.parsed import Limits, Parsed, note_wrong_type, without_wrong
from millrace.spelling import LONGEST, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_LINE_BYTES = 6 * 2**20
"""The bytes of a line with one image of the largest size, in base64."""
HINTS = 16
"""How many unknown names of a part get a proposed spelling: to find one takes longer than to read the line."""
Each = Callable[..., Iterator[Any]]
"""A function like `map`: its results come in the order of its arguments."""
LINES_PER_PART = 32
"""How many lines of a file are read at once, if its table has images: 4 MiB each, which bounds the memory."""
Fetch = Callable[[str, str], bytes]
"""Fetches the bytes of an object, by its key and version."""
FETCHES_AT_ONCE = 10
"""As many connections as botocore keeps to one host."""
NAMED = b'"version_id"'
"""The bytes that each reference to an object has once, unless they are written in escapes."""
TEXT_KINDS: tuple[Kind, ...] = ("string", "binary", *TIMES)


def read(path: Path, table: Table, limits: Limits, origin: Origin | None = None) -> Iterator[Parsed]:
    """The file in parts. Cells of images may name objects: see above. Raises DropError as `read_drop` does."""
    line, has_images = 1, bool(image_columns(table))
    # Objects are counted before any is fetched, and again while they are: a name in escapes is not counted before.
    if has_images:
        limits = replace(limits, line_bytes=max(limits.line_bytes, IMAGE_LINE_BYTES))
        check_objects(blocks(path, limits, most_lines=limits.rows_of(table)), limits)
        origin = replace(origin, fetch=at_most(origin.fetch, limits.objects)) if origin else None
    # Each line of a manifest is an object to fetch: one after the other, a hundred thousand would take half an hour.
    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:  # a thread starts only when a line needs one
        each: Each = pool.map if has_images else map
        for block in blocks(path, limits, most_lines=limits.rows_of(table)):
            lines = lines_of(block)
            size = LINES_PER_PART if has_images else max(len(lines), 1)
            for at in range(0, len(lines), size):
                yield _read_lines(lines[at : at + size], line + at, table, origin, each)
            line += len(lines)


def _read_lines(lines: list[bytes], first: int, table: Table, origin: Origin | None, each: Each) -> Parsed:
    """The rows of these lines; `first` is the number of the first line. Blank lines are left out."""
    objects: dict[int, Mapping[str, Any]] = {}
    unparsable: list[QuarantinedRow] = []
    names, hints = [column.name_in_file for column in table.columns], dict[str, str]()
    there = [(number, text) for number, text in enumerate(lines, first) if text.strip()]
    for (number, text), row in zip(
        there, each(lambda numbered: _object(numbered[1], table, origin), there), strict=True
    ):
        if isinstance(row, RuleViolation):
            if row.reason == Reason.UNKNOWN_FIELD and (name := row.column) and (name in hints or len(hints) < HINTS):
                hints[name] = did_you_mean([name], names)
                row = replace(row, expected=f"{row.expected}{hints[name]}")
            unparsable.append(QuarantinedRow(line=number, violations=(row,), key=_key(text, table), raw=raw_text(text)))
        else:
            objects[number] = row
    return _typed(objects, {number: lines[number - first] for number in objects}, unparsable, table)


def object_of(text: bytes) -> dict[str, Any]:
    """The object of one line of strict JSON, with each field once.

    Raises ValueError (also JSONDecodeError, UnicodeDecodeError) or RecursionError for any other line."""
    row = strict_json.parse(text.decode())
    if not isinstance(row, dict):
        raise ValueError(truncate(row))
    return row


def expected_of(error: ValueError | RecursionError) -> str:
    """What a line should have been. If it ends too early, as in an object over several lines, that is said too."""
    is_cut = isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip())
    return "a JSON object, the whole of it on one line" if is_cut else "a JSON object"


def _object(text: bytes, table: Table, origin: Origin | None) -> Mapping[str, Any] | RuleViolation:
    """The object of one line by the contract's names, or its violation. Objects that it names are fetched."""
    try:
        row = object_of(text)
    except UnicodeDecodeError as error:
        return of_line(Reason.ENCODING, "UTF-8", repr(error.object[error.start : error.end]))
    except json.JSONDecodeError as error:
        came = truncate(f"{error.msg.removesuffix(' at')} at column {error.colno}")
        return of_line(Reason.JSON, expected_of(error), came)
    except (ValueError, RecursionError) as error:
        return of_line(Reason.JSON, "a JSON object", truncate(str(error) or type(error).__name__))
    known = table.name_of
    if unknown := sorted(row.keys() - known.keys()):
        expected = f"one of {', '.join(column.name_in_file for column in table.columns)}"
        column = unknown[0] if unknown[0].isprintable() and len(unknown[0]) <= LONGEST else None
        got = ", ".join(map(truncate, unknown))
        return RuleViolation(reason=Reason.UNKNOWN_FIELD, column=column, expected=expected, got=got)
    named = [(known[name], cell) for name, cell in row.items() if known[name]]
    row = dict(named)
    if len(row) < len(named):
        return of_line(Reason.JSON, "each column once", "one by both of its names")
    return fetch_objects(row, table, origin) or table.parted(row)


def _key(text: bytes, table: Table) -> str:
    """The key of a line that is refused whole, as far as it can be read; else empty.

    Such a line has an unknown field, for example, or names an object that is gone."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    known = table.name_of
    cells = row.items() if isinstance(row, dict) else ()
    named = {known.get(name, ""): cell for name, cell in cells if isinstance(cell, str | int | float)}
    return key_text(named, table).encode(errors="backslashreplace").decode()  # no file can hold half a surrogate pair


def _typed(
    objects: dict[int, Mapping[str, Any]], raw: dict[int, bytes], unparsable: list[QuarantinedRow], table: Table
) -> Parsed:
    """The objects as rows in the contract's types. A row with a cell of another type is quarantined.

    Both `objects` and `raw`, the bytes of their lines, are by the numbers of the lines."""
    import pyarrow as pa

    schema = parsed_schema(table)
    wrong: dict[int, list[RuleViolation]] = {}
    arrays = []
    for column in table.columns:
        cells = [row.get(column.name) for row in objects.values()]
        values, misfits = _column(cells, column)
        arrays.append(values)
        for at in misfits:
            note_wrong_type(wrong, at, column, cells[at])
    numbers = list(objects)
    rows = pa.Table.from_arrays([*arrays, pa.array(numbers, pa.int64())], schema=schema)
    return without_wrong(rows, wrong, table, raw=lambda at: raw_text(raw[numbers[at]]), unparsable=unparsable)


def _column(cells: list[Any], column: Column) -> tuple[pa.Array, list[int]]:
    """The typed column, and the positions of values that are not of its type (null there)."""
    import pyarrow as pa

    from millrace.files.cast import from_json

    if column.number_format or column.mapped or column.kind == "boolean":
        cells = [cell if column.means_missing(cell) else column.meant(cell) for cell in cells]
    if column.missing_words:
        cells = [None if column.means_missing(cell) else cell for cell in cells]
    # JSON's types are checked first: `"1"` is a text and no number, and Arrow would read `true` as 1.
    wrong = [at for at, cell in enumerate(cells) if cell is not None and not has_json_type(cell, column.kind)]
    values = list(cells)
    for at in wrong:
        values[at] = None
    if column.kind == "string":
        return pa.array(values, pa.string()), wrong
    if column.kind in TEXT_KINDS:
        typed, misfits = from_json(pa.array(values, pa.string()), column)
        return typed, sorted({*wrong, *misfits})
    if column.kind in FLOATS:
        values = [None if cell is None else to_float(cell, column.kind) for cell in values]
    return pa.array(values, arrow_type(column.kind)), wrong


FORMAT = FileFormat(names=("JSON lines",), read=read)


def check_objects(blocks: Iterable[bytes], limits: Limits) -> None:
    """Raise DropError `too_large` if the lines seem to name more than `limits.objects` objects.

    It is called before any object is fetched."""
    if (named := sum(block.count(NAMED) for block in blocks)) > limits.objects:
        raise DropError(Reason.TOO_LARGE, expected=f"{limits.objects} objects at most", got=f"{named}")


def at_most(fetch: Fetch, objects: int) -> Fetch:
    """`fetch` for at most so many objects. For each further one it raises DropError `too_large` and fetches nothing."""
    counted = count(1)  # several threads fetch, and `next` on a count is one step for all of them

    def fetch_counted(key: str, version: str) -> bytes:
        if (number := next(counted)) > objects:
            raise DropError(Reason.TOO_LARGE, expected=f"{objects} objects at most", got=f"object {number}")
        return fetch(key, version)

    return fetch_counted


def fetch_objects(row: dict[str, Any], table: Table, origin: Origin | None) -> RuleViolation | None:
    """The violation of the row's references. None if they are good: its cells then hold the objects in base64."""
    for column in image_columns(table):
        cell = row.get(column.name)
        if not isinstance(cell, dict):
            continue
        named = {name: value for name, value in cell.items() if isinstance(value, str) and value}
        if set(cell) != {"object", "version_id"} or len(named) != 2 or origin is None:
            continue  # refused as a cell of another type
        try:
            row[column.name] = to_base64(origin.fetch(named["object"], named["version_id"]))
        except DropError as error:
            return RuleViolation(reason=error.reason, column=column.name, expected=error.expected, got=error.got)
    return None
