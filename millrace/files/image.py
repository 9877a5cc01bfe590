"""Reads a drop that is a single image: it becomes one row, with the object's name as its key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from millrace.contract.reasons import Reason
from millrace.contract.rules.image import MOST_BYTES, ImageFormat, describe
from millrace.contract.rules.image_end import JPEG, PNG
from millrace.contract.schema import Table, parsed_schema
from millrace.errors import DropError
from millrace.files.file_format import FileFormat
from millrace.files.origin import Origin, image_columns
from millrace.files.parsed import Limits, Parsed

ENCODINGS = {PNG: "png", JPEG: "jpeg"}


def is_image(head: bytes) -> bool:
    """Whether the bytes begin like a PNG or a JPEG."""
    return any(head.startswith(magic) for magic in ENCODINGS)


def read(path: Path, table: Table, _: Limits, origin: Origin | None) -> Iterator[Parsed]:
    """The one row, with the image and its key. The other columns are empty; if one is required, the row is quarantined.

    Raises DropError `foreign` if the contract has no column for such an image, and `too_large` for a larger image than
    a cell may hold."""
    import pyarrow as pa

    content = path.read_bytes()
    encoding = next(name for magic, name in ENCODINGS.items() if content.startswith(magic))
    found = [(column, rule) for column in image_columns(table) if (rule := column.find(ImageFormat))]
    images = [column for column, rule in found if rule.encoding == encoding]
    keys = [name for key in table.keys[:1] for name in key if table.column(name).kind == "string"]
    # The contract must say by itself where image and name go: one column of this encoding, one text as the key.
    if origin is None or len(images) != 1 or len(keys) != 1:
        # If only the encoding is another one, the message says which.
        if origin is not None and len(keys) == 1 and len(found) == 1 and found[0][1].encoding != "raw":
            raise DropError(Reason.FOREIGN, expected=found[0][1].expected, got=describe(content))
        expected = (
            f"a table, since the contract has not one column of {encoding.upper()} images and one text as its key"
        )
        raise DropError(Reason.FOREIGN, expected=expected, got="an image")
    if len(content) > MOST_BYTES:
        raise DropError(Reason.TOO_LARGE, expected=f"{MOST_BYTES} bytes at most", got=f"{len(content)}")
    row = {keys[0]: origin.stem, images[0].name: content, "_line": 1}
    yield Parsed(rows=pa.Table.from_pylist([row], schema=parsed_schema(table)), unparsable=())


FORMAT = FileFormat(names=("an image",), read=read, begins=is_image)
