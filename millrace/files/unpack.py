"""Unpacks a compressed drop into a file beside it, to a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.catalogue import PACKINGS
from millrace.files.file_format import Packing
from millrace.files.parsed import Limits

PIECE_BYTES = 2**20


def packing_of(path: Path) -> Packing | None:
    """The packing of the file, by its first bytes; None for a file that is not packed."""
    with path.open("rb") as file:
        head = file.read(max(len(one.magic) for one in PACKINGS.values()))
    return next((one for one in PACKINGS.values() if head.startswith(one.magic)), None)


@contextmanager
def unpacked(path: Path, limits: Limits) -> Iterator[Path]:
    """The file itself; for a packed one, the file within, which is there while the block runs.

    Raises DropError `too_large` if that has more than `limits.file_bytes`, before more than these are written, and the
    errors of its packing."""
    packing = packing_of(path)
    if packing is None:
        yield path
        return
    with TemporaryDirectory() as folder:
        size = path.stat().st_size
        with packing.open(path) as packed:
            plain = Path(folder) / packed.name
            if packed.size is not None and packed.size > limits.file_bytes:
                raise _too_large(limits.file_bytes, str(packed.size), size)
            unpack(packed.content, plain, limits.file_bytes, packed_bytes=size)
        yield plain


def unpack(content: BufferedIOBase | IO[bytes], plain: Path, most: int, *, packed_bytes: int) -> None:
    """Write the bytes to `plain`, whatever the packed file says of their number. Raises DropError for more than `most`.

    `packed_bytes` is told in the error."""
    written = 0
    with plain.open("wb") as file:
        while piece := content.read(PIECE_BYTES):
            written += len(piece)
            if written > most:
                raise _too_large(most, "more", packed_bytes)
            file.write(piece)


def _too_large(most: int, came: str, packed: int) -> DropError:
    return DropError(Reason.TOO_LARGE, expected=f"{most} bytes at most unpacked", got=f"{came} in {packed} packed ones")
