"""How much memory processes hold, counted as the limit of a sandbox or a container counts it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

OWN, SHARED = ("RssAnon", "RssShmem"), ("Pss_Anon", "Pss_Shmem")
"""What no file backs: of `status`, and of `smaps_rollup`, which counts a page of several processes once in all."""


def held_mb(pids: Iterable[int]) -> float:
    """MiB that the processes hold, at most: what forks share counts for each of them. 0 if there is no Linux."""
    return sum(_sum_mb(pid, "status", OWN) for pid in pids)


def exceed(pids: Collection[int], limit_mb: float) -> bool:
    """Whether the processes hold more, also if what they share counts once."""
    # The second figure walks through all pages of a process, so it is asked for only where it decides.
    return held_mb(pids) > limit_mb and sum(_sum_mb(pid, "smaps_rollup", SHARED) for pid in pids) > limit_mb


def members(group: int) -> list[int]:
    """The ids of all processes of a group."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with suppress(ValueError, ProcessLookupError):
            if os.getpgid(int(name)) == group:
                found.append(int(name))
    return found


def machine_mb() -> float:
    """MiB of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


def end_before_the_cloud(pid: int) -> None:
    """Let the kernel choose this process, and what it starts, before the cloud when the machine's memory is used up."""
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("500")


def _sum_mb(pid: int, file: str, fields: tuple[str, ...]) -> float:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0.0
    return sum(int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M) if name in fields) / 1024
