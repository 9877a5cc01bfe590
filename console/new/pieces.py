"""Writes the user's file as drops: as it is, byte for byte, or cut by lines into pieces that each have the names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from console.files.catalogue import TABLE_FILES
from millrace.contract.schema import Table
from millrace.files.sniff import HEAD_BYTES, format_of

MOST_BYTES = 256 * 2**20
"""Size of a drop, half of what the functions take."""


def write_pieces(source: Path, table: Table, folder: Path, pieces: int) -> Iterator[Path]:
    """Write the drops into `folder`; the path of each. With 0 `pieces` there are as many as keep each at MOST_BYTES."""
    count = pieces or -(-source.stat().st_size // MOST_BYTES)  # rounded up
    if count == 1:
        path = folder / source.name
        shutil.copyfile(source, path)
        yield path
        return
    with source.open("rb") as file:
        form = format_of(file.read(HEAD_BYTES))
    yield from TABLE_FILES[form].write_pieces(source, table, folder, count)
