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
