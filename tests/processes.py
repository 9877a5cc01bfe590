"""Processes of the local cloud, found as the system shows them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def writing(log: Path) -> set[int]:
    """The processes whose output is the file, as that of a function, or of a job and all that it starts."""
    found = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (folder / "fd" / "1").readlink() == log:
                found.add(int(folder.name))
    return found


def parent(process: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def parents() -> dict[int, int]:
    """The parent of every process that is there and is not only a name any more."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def descendants(of: int) -> set[int]:
    """The process, those that it has started, and those that they have."""
    tree = parents()
    found, new = set(), {of}
    while new:
        found |= new
        new = {process for process, parent in tree.items() if parent in new} - found
    return found
