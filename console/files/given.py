"""The files that a person names. Folders and archives become the files within them, and packed files are unpacked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from millrace.console.files import workbook
from millrace.console.files.grid import Convertible, Grid, Inside, stop
from millrace.console.image_folder import find_images
from millrace.errors import ConfigurationError, DropError
from millrace.files.bounded import read_bounded
from millrace.files.catalogue import packing_of, unpack, unpacked
from millrace.files.parsed import Limits
from millrace.files.zipped import FORMAT as ZIP
from millrace.files.zipped import archived, members

CONVERTED: Mapping[str, Convertible] = {
    "workbook": workbook.FORMAT,
    "database": workbook.SQLITE,
}
"""The formats that the console turns into JSON lines."""
ALSO = f"also packed as gzip or zip; {', '.join(one.name for one in CONVERTED.values())}"
"""What is taken beside the formats of tables, in words."""
STANDARD_INPUT = Path("-")
HEAD_BYTES = 16
MOST_BYTES = 4 * 2**30
"""The unpacked bytes of all archives of a command together, those within archives among them."""
MOST_FILES = 2_000
"""The files of all archives of a command together. Each becomes a drop of its own."""
MOST_DEPTH = 3
"""An archive may hold archives, and these others: not more, since their number doubles each time."""
LONGEST = 255
"""The bytes of one part of a file's name that common file systems take."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """One file of rows or image, or a folder of images."""

    path: Path
    """As it was given, or in a temporary folder, where it stood in an archive or came by standard input."""
    plain: Path
    """The same without its packing; `path` itself, if it has none."""
    name: str
    """Below the folder or the archive that was given: `north/1996-05.csv`. Empty for standard input."""
    kind: str = ""
    """The key of CONVERTED for a file that must be converted; else empty."""
    sample: Path | None = None
    """A file of some of its rows, which `new` looks at in its place; None for a file that is read whole."""

    @property
    def target(self) -> str:
        """The name of what is dropped; empty for standard input."""
        return str(PurePosixPath(self.name).with_suffix(".jsonl")) if self.kind and self.name else self.name

    def grid(self, inside: Inside) -> Grid:
        """The rows of a file that must be converted. Raises ConfigurationError if it cannot be read."""
        return read_grid(CONVERTED[self.kind].read, self.plain, inside)


@contextmanager
def given(paths: Sequence[Path], inside: Inside) -> Iterator[tuple[Given, ...]]:
    """The files, while the block runs. A folder with images stays one, any other becomes its files by their names.

    Raises ConfigurationError for a file that is not there or is damaged, for two files that would be dropped under one
    name, and for an option of `inside` that none of the files takes."""
    with ExitStack() as stack:
        room = Room()
        origins = [(path, one) for path in paths for one in _of(path, stack, room)]
        _check_targets(origins)
        found = tuple(one for _, one in origins)
        for option in ("sheet", "table", "sql"):
            takers = [kind for kind, one in CONVERTED.items() if option in one.options]
            if getattr(inside, option) and not any(one.kind in takers for one in found):
                expected = f"one of the {CONVERTED[takers[0]].name} for this option"
                stop(paths[0], f"--{option}", expected, ", ".join(one.path.name for one in found[:3]))
        yield found


@dataclass
class Room:
    """The bytes that archives may still take unpacked, and the files that they may still hold."""

    left: int = MOST_BYTES
    files: int = MOST_FILES


def is_below(name: str) -> bool:
    """Whether the name leads to a place below the one that it starts at: each of its parts is a name of its own."""
    return all(part not in ("", ".", "..") and len(part.encode()) <= LONGEST for part in name.split("/"))


def _check_targets(origins: Sequence[tuple[Path, Given]]) -> None:
    """Raise ConfigurationError if a file would replace another; each stands beside the path that was given."""
    names = dict[str, str]()
    for path, one in origins:
        name = str(path) if path.name == one.name else f"{path}: {one.name}"
        if one.target in names:
            expected = f"files with names that differ, since each goes by its own: {one.target}"
            stop(path, "names", expected, f"{names[one.target]} and {name}")
        names[one.target] = name
    for target, name in names.items():
        for folder in map(str, PurePosixPath(target).parents):
            if folder in names:
                expected = f"names of which none is the folder of another: {folder} is a file"
                stop(Path(folder), "names", expected, f"{names[folder]} and {name}")


def _of(path: Path, stack: ExitStack, room: Room) -> Iterator[Given]:
    if path == STANDARD_INPUT:
        came = _temporary(stack) / "standard-input"
        came.write_bytes(sys.stdin.buffer.read())
        yield from _of_file(came, "", stack, room)
    elif path.is_dir() and not find_images(path).paths:
        files = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
        if not files:
            stop(path, "FILE", "a folder with files of rows or with images", "an empty one")
        for file in files:
            yield from _of_file(file, file.relative_to(path).as_posix(), stack, room)
    elif path.is_dir():
        yield Given(path=path, plain=path, name=path.name)
    elif path.is_file():
        yield from _of_file(path, path.name, stack, room)
    else:
        stop(path, "FILE", "a file or a folder", "none of that name")


def _of_file(path: Path, name: str, stack: ExitStack, room: Room, *, depth: int = 0) -> Iterator[Given]:
    """`depth` is the number of archives around the file."""
    if depth > MOST_DEPTH:
        stop(path, "files", f"archives in {MOST_DEPTH - 1} others at most; unpack them, and name the folders", "more")
    if kind := _kind(path):
        yield Given(path=path, plain=path, name=name, kind=kind)
        return
    try:
        if packing_of(path) is ZIP and len(within := _within(path, stack, room)) > 1:
            for file, inner in within:
                yield from _of_file(file, inner, stack, room, depth=depth + 1)
            return
        plain = stack.enter_context(unpacked(path, Limits()))
    except DropError as error:
        stop(path, str(error.reason), error.expected, error.got)
    kind = _kind(plain)
    # A packed workbook is converted, so what goes has the name of the workbook.
    yield Given(path=path, plain=plain, name=plain.name if kind else name, kind=kind)


def _within(path: Path, stack: ExitStack, room: Room) -> list[tuple[Path, str]]:
    """As `extract`, counted against the room."""
    within = extract(path, _temporary(stack), most_bytes=room.left, most_files=room.files)
    room.left -= sum(file.stat().st_size for file, _ in within)
    room.files -= len(within)
    return within


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next((kind for kind, one in CONVERTED.items() if one.begins(path, head)), "")


def extract(
    path: Path, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES
) -> list[tuple[Path, str]]:
    """The files of an archive of several, unpacked into `folder`, with their names; empty for an archive of one file.

    Raises DropError as reading a drop does, each file bounded as a drop is, and all together by `most_bytes`. Raises
    ConfigurationError for more than `most_files`, and for a name that leads out of the archive."""
    with archived(path) as archive:
        files = members(archive)
        if len(files) < 2:
            return []
        if len(files) > most_files:
            expected = f"{MOST_FILES:,} files at most in all archives; unpack them, and name the folders"
            stop(path, "files", expected, len(files))
        found = list[tuple[Path, str]]()
        for number, member in enumerate(files):
            if not is_below(member.filename):
                stop(path, "names", "files with names such as north/1997-05.csv", member.filename)
            (own := folder / str(number)).mkdir(parents=True)
            file = own / Path(member.filename).name
            with archive.open(member) as content:
                unpack(content, file, min(Limits().file_bytes, most_bytes), packed_bytes=member.compress_size)
            most_bytes -= file.stat().st_size
            found.append((file, member.filename))
    return found


def _temporary(stack: ExitStack) -> Path:
    return Path(stack.enter_context(TemporaryDirectory()))


MEMORY_BYTES = 4 * 2**30
"""What the process may take that reads a file to convert: a million rows of 20 columns take about 3 GiB."""
SECONDS = 60
"""Of a processor."""


def read_grid(read: Callable[[Path, Inside], Grid], path: Path, inside: Inside) -> Grid:
    """What `read` returns, in a process of its own. Raises ConfigurationError, also for a file that takes more memory
    or time, and for whatever a library makes of a stranger's bytes."""
    try:
        (grid,) = read_bounded(_grids, read, path, inside, memory_bytes=MEMORY_BYTES, cpu_s=SECONDS)
    except ConfigurationError:
        raise
    except (MemoryError, ChildProcessError):
        limits = f"{MEMORY_BYTES // 2**30} GiB of memory and {SECONDS} seconds of a processor"
        expected = f"a file that is read within {limits}; save its rows as CSV or Parquet"
        stop(path, "size", expected, "one that takes more")
    except Exception as error:
        stop(path, "content", "a file that can be read", f"{type(error).__name__}: {error}"[:500])
    return grid


def _grids(read: Callable[[Path, Inside], Grid], path: Path, inside: Inside) -> Iterator[Grid]:
    yield read(path, inside)
