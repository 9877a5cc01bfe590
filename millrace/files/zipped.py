"""Opens a zip file that holds one file of rows. Workbooks are zip files, too, and are named where they are refused."""

from __future__ import annotations

import errno
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.file_format import Packed, Packing

WORKBOOKS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
"""Members that only workbooks have: of xlsx, of xlsb, of ods."""
DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    UnicodeDecodeError,
    OSError,
)
"""What reading damaged bytes raises. Of bzip2 it is an OSError without a number, of a wrong place EINVAL."""
MOST_LIST_BYTES = 4 * 2**20
"""The list of members: some 40,000 of them, each of which takes a kilobyte of memory."""
LONGEST = 200
"""The bytes that are kept of a name within, counted from its end: file systems take 255 bytes."""
SHOWN = 5
ENCRYPTED = 0x1
"""The bit of a member's flags that says that it has a password.
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.4.4"""


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files within, in the order of their names; without folders and what systems put there (`__MACOSX`)."""
    names = sorted(archive.infolist(), key=lambda member: member.filename)
    paths = {one: Path(one.filename) for one in names if not one.filename.endswith("/")}
    return [one for one in paths if paths[one].parts[:1] != ("__MACOSX",) and not paths[one].name.startswith(".")]


def name_of(member: zipfile.ZipInfo) -> str:
    """The name of the file within, without folders, so short that every file system takes it."""
    return Path(member.filename).name.encode()[-LONGEST:].decode(errors="ignore") or "rows"


class _File(io.BufferedReader):
    """The bytes of a zip file. Raises DropError `too_large` for a long list of members, which is read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_LIST_BYTES:
            expected = f"a list of members of {MOST_LIST_BYTES} bytes at most"
            raise DropError(Reason.TOO_LARGE, expected=expected, got=str(size))
        return super().read(size)


@contextmanager
def readable(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, while the block runs, whatever is in it.

    Raises DropError `truncated`, `corrupt`, `foreign` or `too_large`, also for what reading a member raises."""
    try:
        with _File(io.FileIO(path)) as file, _listed(file) as archive:
            yield archive
    except NotImplementedError as error:
        raise DropError(Reason.FOREIGN, expected="a zip file of a usual compression", got=str(error)) from None
    except DAMAGES as error:
        # An error of the system, such as a full disk, says nothing about the file.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DropError(Reason.CORRUPT, expected="a readable zip file", got=str(error)) from None


def _listed(file: _File) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        # The list of members stands at the end of the file.
        raise DropError(Reason.TRUNCATED, expected="a zip file with its list at the end", got=str(error)) from None
    # Another archive before this one has rows that this one's list does not name.
    if first := min((one.header_offset for one in archive.infolist()), default=0):
        raise DropError(Reason.CORRUPT, expected="a zip file from its first byte on", got=f"{first} bytes before it")
    return archive


@contextmanager
def archived(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, while the block runs. Raises as `readable`, and `foreign` for a workbook and for a password."""
    with readable(path) as archive:
        names = set(archive.namelist())
        if names & {*WORKBOOKS}:
            got = "a workbook: `millrace drop` takes it and sends its rows; else save the sheet as CSV"
            raise DropError(Reason.FOREIGN, expected="a zip file of rows", got=got)
        if locked := [one.filename for one in members(archive) if one.flag_bits & ENCRYPTED]:
            got = f"{_shown(locked)} with one"
            raise DropError(Reason.FOREIGN, expected="a zip file without a password", got=got)
        yield archive


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + "…" * (len(names) > SHOWN)


@contextmanager
def opened(path: Path) -> Iterator[Packed]:
    """The one file within. Raises the errors of `archived`, `empty` for none, and `foreign` for several."""
    with archived(path) as archive:
        files = members(archive)
        if not files:
            raise DropError(Reason.EMPTY, expected="a zip file with a file of rows", got="one without files")
        if len(files) > 1:
            names = _shown([one.filename for one in files])
            got = f"{len(files)} files: {names}; `millrace drop` sends each by itself"
            raise DropError(Reason.FOREIGN, expected="a zip file with one file", got=got)
        [member] = files
        with archive.open(member) as content:
            yield Packed(name=name_of(member), content=content, size=member.file_size)


FORMAT = Packing(name="zip", magic=b"PK\x03\x04", open=opened)
