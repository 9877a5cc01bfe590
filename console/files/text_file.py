"""What CSV and JSON lines share: a text file as records, each of one line or several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from millrace.errors import RunError
from millrace.files.lines import BOM
from millrace.files.sniff import HEAD_BYTES


def first_line(file: Path) -> bytes:
    """The first line of the file that is not blank."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    return head.removeprefix(BOM).lstrip().partition(b"\n")[0]


def marked(file: Path) -> tuple[bytes, bytes]:
    """The file's byte order mark, or nothing, and the bytes after it."""
    data = file.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    return mark, data.removeprefix(mark)


def write_records(
    dropped: Path, begun: Sequence[int], wanted: Collection[int], path: Path, *, has_names: bool
) -> list[bytes]:
    """Write the records that begin in the `wanted` lines to `path`; returns the texts that were written.

    `begun` are the lines, from 1, in which the file's records begin. With `has_names`, what stands before the first
    record comes first.
    Raises RunError if no record begins in a wanted line."""
    mark, data = marked(dropped)
    lines = data.split(b"\n")
    # By the line in which a record begins: the line in which the next one begins.
    ends = dict(zip(begun, [*begun[1:], len(lines) + 1], strict=True))
    if other := sorted(set(wanted) - ends.keys()):
        expected = "records where they were when the file was dropped"
        raise RunError(f"--rows: expected {expected}, by the contract as it is now none begins in line {other[0]}")
    records = [b"\n".join(lines[line - 1 : ends[line] - 1]) for line in sorted(wanted)]
    # Blank lines before the names stay with them.
    head = lines[: begun[0] - 1] if has_names and begun else []
    # The last record of the file may have no line end.
    texts = [text.rstrip(b"\n") + b"\n" for text in [*head, *records]]
    path.write_bytes(mark + b"".join(texts))
    return texts


def write_pieces(source: Path, head: bytes, records: Sequence[bytes], folder: Path, count: int) -> Iterator[Path]:
    """Write the records as `count` files, each with `head` at its beginning; at most one file for each record."""
    count = min(count, len(records))
    edges = [len(records) * number // count for number in range(count + 1)]
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}{source.suffix}"
        path.write_bytes(head + b"".join(records[edges[number] : edges[number + 1]]))
        yield path
