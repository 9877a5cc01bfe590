"""The contract of observed columns: rules with a margin for later values, images, how the file is written."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.image_folder import scaled_to
from millrace.console.new.columns import LeftOut, Profile
from millrace.console.new.keys import rank_of_names
from millrace.console.new.numbers import finite_bounds, usual_bounds
from millrace.console.new.read import Source
from millrace.console.new.words import counted, is_identifier, may_be_negative
from millrace.contract.kinds import FLOAT32_MAX
from millrace.contract.reasons import Reason
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.image import MOST_BYTES, ImageFormat, ImageSize, read_jpeg, read_png
from millrace.contract.rules.length import Length
from millrace.contract.rules.pixels import Encoding
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError, DropError
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.files.parsed import Limits

SLACK = 0.25
"""Share of the observed span by which a number may lie outside of the span, at either end."""
SLACK_OF_SIGNED = 1
"""The same for a temperature, a balance and such: the next season, or another place, may lie as far away again."""
MOST_PERCENT = 100
MOST_CATEGORIES = 64
ROWS_PER_CATEGORY = 10
"""Text with fewer rows than this for each of its values, on average, is no category."""
MOST_STEPS = 1e12
"""A bound is rounded if it is below 1e12 units of the rounding. Larger doubles hold no round numbers."""
EARLIER = 10
"""Years before the first time that a contract takes."""
LONGER = 4
"""A text may be 4 times as long as the longest one that was seen."""
USUAL_SIZE = (64, 64)
"""Height and width in pixels to which images of many sizes are scaled."""
USUAL_SHARE = 0.95
"""Least share of the images that must have one size and encoding. The contract refuses the others."""


def column_of(observed: Profile) -> Column:
    """The contract's column, with rules that the observed cells keep and some slack."""
    column = Column(name=observed.name, kind=observed.kind, required=observed.is_complete, unit=observed.unit)
    if observed.kind == "string":
        return _text(observed, column)
    if observed.is_number:
        return _number(observed, column)
    return replace(column, rules=(Range(minimum=_earliest(observed)),)) if observed.is_time else column


def relaxed(column: Column) -> Column:
    """The column for the case that no model reads it: it may be missing, and hold any value of its type.

    A range or a list of values would quarantine rows for a cell that no answer depends on. The length stays, as it
    only bounds what is kept."""
    return replace(column, required=False, rules=tuple(one for one in column.rules if isinstance(one, Length)))


def column_of_classes(observed: Profile) -> Column:
    """The column of a label that is a class: it takes the observed classes and nothing else."""
    classes = tuple(sorted(value for value, _ in counted(observed.cells)))
    rules = () if observed.kind == "boolean" else (Allowed(classes),)
    return Column(name=observed.name, kind=observed.kind, required=True, label=True, rules=rules)


def why_no_feature(column: Column, observed: Profile) -> str:
    """Why the column is no feature: a model cannot take it, or would only learn the rows by heart. "" for a feature."""
    if observed.is_time:
        return "a time: see the calendars below"
    if observed.distinct == 1 and observed.is_complete:
        return "always the same"
    if column.name == "id":
        return "no input of a model is called `id`, by which batch scoring knows a row; with another name it can be one"
    if is_free_text(column, observed):
        return ""
    # A number that differs in each row and names none, such as a population, may say something.
    only_numbers = observed.is_unique and (observed.kind == "string" or _names_rows(observed))
    counts = observed.is_unique or (observed.kind == "int64" and observed.is_nearly_unique)
    if only_numbers or (counts and is_identifier(observed.name)):
        return "different in each row: it only numbers them"
    if observed.kind == "float64" and max(map(abs, finite_bounds(observed.cells))) > FLOAT32_MAX:
        return "beyond what a float32 holds"
    if column.kind == "string" and not column.allowed:
        return f"text of {observed.distinct:,} values, too short for sentences and too many for categories"
    return ""


def _names_rows(observed: Profile) -> bool:
    """Whether the whole numbers differ in each row, and name or count the rows."""
    return observed.kind == "int64" and observed.is_unique and bool(rank_of_names(observed))


def is_free_text(column: Column, observed: Profile) -> bool:
    """Whether a model reads the words of this column. Texts of few values are categories, however long each is."""
    return observed.is_sentences and not column.allowed


def _text(observed: Profile, column: Column) -> Column:

    enough = observed.distinct * ROWS_PER_CATEGORY <= len(observed.cells) - observed.cells.null_count
    if observed.distinct <= MOST_CATEGORIES and enough:
        return replace(column, rules=(Allowed(tuple(sorted(value for value, _ in counted(observed.cells)))),))
    return replace(column, rules=(Length(maximum=max(16, LONGER * pc.max(pc.utf8_length(observed.cells)).as_py())),))


def _number(observed: Profile, column: Column) -> Column:
    low, high = usual_bounds(observed)
    whole = observed.kind == "int64"
    if whole and (_names_rows(observed) or (observed.is_nearly_unique and is_identifier(observed.name))):
        # A counter: its next value is larger than every observed one.
        return replace(column, rules=(Range(minimum=0),)) if low >= 0 else column
    if whole and {low, high} <= {0, 1}:
        return replace(column, rules=(Allowed((0, 1)),))
    if not whole and low >= 0 and high <= 1:
        return replace(column, rules=(Range(minimum=0, maximum=1),))
    if observed.unit == "%" and low >= 0 and high <= MOST_PERCENT:
        return replace(column, rules=(Range(minimum=0, maximum=MOST_PERCENT),))
    # A column of one single number has no span: then the room is that number, or 1 if it is smaller.
    is_signed = may_be_negative(observed.name)
    room = (SLACK_OF_SIGNED if is_signed else SLACK) * (float(high) - float(low)) or max(abs(float(high)), 1.0)
    least, most = _rounded(low - room, room, math.floor), _rounded(high + room, room, math.ceil)
    # The slack does not cross 0: a column without negative numbers keeps the minimum 0, but for temperatures and such.
    is_amount = low >= 0 and not is_signed
    least, most = min(low, max(least, 0) if is_amount else least), max(high, min(most, 0) if high <= 0 else most)
    if whole:
        whole_range = Range(minimum=max(math.floor(least), -(2**63)), maximum=min(math.ceil(most), 2**63 - 1))
        return replace(column, rules=(whole_range,))
    found = {"minimum": least, "maximum": most}
    bounds = {name: bound for name, bound in found.items() if math.isfinite(bound)}
    return replace(column, rules=(Range(**bounds),)) if bounds else column


def _rounded(bound: float, room: float, to: Any) -> float:
    """The bound, rounded outwards by a tenth of `room` at most: `_rounded(103.7, 25, math.ceil)` is 104.

    The bound itself if doubles have no digits for that. `to` is math.floor or math.ceil."""
    unit = 10.0 ** math.floor(math.log10(room) - 1) if math.isfinite(room) else math.inf
    if not unit or not math.isfinite(bound) or not abs(bound / unit) < MOST_STEPS:
        return bound
    return float(f"{to(bound / unit) * unit:.12g}")


def _earliest(observed: Profile) -> date | datetime:
    """EARLIER before the first time: older rows may still come, and 1900 or 1970 in place of a time are refused."""
    year: int = max(pc.min(observed.cells).as_py().year - EARLIER, 1)
    if observed.kind == "date":
        return date(year, 1, 1)
    return datetime(year, 1, 1, tzinfo=UTC if observed.kind == "timestamp_utc" else None)


def observe_images(
    name: str, cells: pa.ChunkedArray, *, size: tuple[int, int] | None, of: str = ""
) -> tuple[Profile, Column] | LeftOut:
    """The column of images with its rule, by the headers that the contract reads; LeftOut for other bytes.

    `size` is the height and the width in pixels to which all images are scaled, as PNG; USUAL_SIZE for images `of`
    many sizes. The contract refuses a few of another size."""

    flat = cells.combine_chunks().cast(pa.binary())
    changed = ""
    if size is not None:
        flat = _scaled(flat, size)
        changed = (
            f"{of}scaled to {size[0]} x {size[1]} pixels, as PNG; `scale: true` in the contract lets `millrace drop` "
            "and `millrace predict` do so with later ones"
        )
    # The most frequent kind of image becomes the rule. An image of another kind breaks it, and is refused.
    found_headers = [_header(cell) for cell in flat.to_pylist() if cell is not None]
    headers = Counter(header for header in found_headers if header is not None)
    if not headers:
        return LeftOut(name=name, reason="holds bytes that are no PNG and no JPEG of 8 bits without transparency")
    (encoding, found), count = headers.most_common(1)[0]
    if count < USUAL_SHARE * len(flat) and size is None:
        shown = ", ".join(f"{_say(each)} {rows:,}×" for each, rows in headers.most_common(4))
        return observe_images(name, cells, size=USUAL_SIZE, of=f"of many sizes ({shown}), so (or --image-size) ")
    rule = ImageFormat(encoding=encoding, shape=(found.channels, found.height, found.width), scale=size is not None)
    column = Column(name=name, kind="binary", required=True, rules=(rule,))
    return Profile(name=name, kind="binary", cells=flat, distinct=len(flat.unique()), changed=changed), column


def _header(cell: bytes) -> tuple[Encoding, ImageSize] | None:
    """Encoding and size of the image; None if the contract cannot take such an image."""
    for encoding, found in (("png", read_png(cell)), ("jpeg", read_jpeg(cell))):
        if found is not None and found.bits == 8 and found.channels in (1, 3) and len(cell) <= MOST_BYTES:
            return encoding, found  # type: ignore[return-value]
    return None


def _say(header: tuple[Encoding, ImageSize]) -> str:
    encoding, found = header
    return f"{encoding.upper()} of {found.height} x {found.width} pixels, {'grey' if found.channels == 1 else 'colour'}"


def _scaled(cells: pa.Array, size: tuple[int, int]) -> pa.Array:
    """The images in that size, as PNG, grey if all are grey. A cell that is no image stays as it is."""
    known = cells.to_pylist()
    rule = ImageFormat(encoding="png", shape=(1 if all(map(_is_grey, known)) else 3, *size))
    return pa.array([cell and scaled_to(cell, rule) for cell in known], pa.binary())


def _is_grey(cell: bytes | None) -> bool:
    """Whether the cell makes no picture one of colours: it is grey, or no image that is scaled."""
    from PIL import Image

    # A damaged file may raise any error.
    with suppress(Exception), Image.open(BytesIO(cell or b""), formats=["PNG", "JPEG"]) as opened:
        return opened.has_transparency_data or opened.mode in ("1", "L")
    return True


def as_in_file(table: Table, seen: Sequence[Profile], source: Source) -> Table:
    """The table with how the file is written: names of columns, times, words for missing cells, and ignored columns.

    A word for a missing cell that came in one column holds in all, as the next file may have it elsewhere. Two
    exceptions: a label has no word that is one of its classes, and an own word holds in its own column alone."""
    observed = {column.name: column for column in seen}
    words = tuple(
        dict.fromkeys(word for column in seen for word in column.missing_words if word not in column.own_words)
    )
    columns = tuple(
        replace(
            column,
            physical_name=source.names_in_file.get(column.name),
            time_format=observed[column.name].time_format,
            number_format=observed[column.name].number_format,
            part=source.parts.get(column.name),
            missing_words=(
                *_words_of(column, observed[column.name], words),
                *(word for word in source.part_words.get(column.name, ()) if word not in words),
            ),
        )
        for column in table.columns
    )
    # Columns of the file that the contract does not have are named as ignored, by their names in the file.
    left = [name for name in source.table.column_names if name not in table.names]
    ignored = tuple(source.names_in_file.get(name, name) for name in left)
    return replace(table, columns=columns, csv=source.csv, ignored=ignored).with_missing_values()


def _words_of(column: Column, seen: Profile, words: tuple[str, ...]) -> tuple[str, ...]:
    if not column.label or seen.kind != "string":
        return (*words, *(word for word in seen.own_words if word not in words))
    classes = set(seen.cells.unique().to_pylist())
    return tuple(word for word in words if word not in classes)


def read_rows(path: Path, table: Table, *, at: datetime) -> tuple[pa.Table, tuple[QuarantinedRow, ...]]:
    """The typed rows with `_line`, and the lines that are no rows. `at` is the time of rows without one of their own.

    Raises ConfigurationError if ingestion would refuse the whole file."""

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The digest of the file is a part of the row ids that ingestion generates.
    origin = Origin(name=path.name, at=at, digest=digest, fetch=_no_object)
    try:
        parts = list(read_drop(path, table, Limits(file_bytes=max(path.stat().st_size, 1)), origin))
    except DropError as error:
        raise ConfigurationError(where=path.name, field="rows", expected=error.expected, came=error.got) from None
    rows = pa.concat_tables([parsed_schema(table).empty_table(), *(part.rows for part in parts)])
    return rows, tuple(row for part in parts for row in part.unparsable)


def _no_object(key: str, version_id: str) -> bytes:
    """Stands for the fetch of objects to which rows refer. There is no landing bucket here, so it raises DropError."""
    raise DropError(Reason.MISSING, expected="a table without references", got=f"{key} at {version_id}")
