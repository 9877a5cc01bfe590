"""What each test file costs: seconds of wall clock and of CPU, kept over runs; the longest are started first.

CPU time is that of the process and of the children that ended while a test ran, with their own: it says what a file
costs where other work shares the cores. What a fixture costs is counted with the test that asked first, and what ends
with a session with its last test."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "build" / "durations.json"
"""Of each test its seconds of wall clock and of CPU when it ran last."""
LONGEST = Path(__file__).parent / "longest.json"
"""The files that take longest, for a checkout in which nothing was recorded yet; seconds of wall clock."""
LISTED_S = 5.0
"""Files below it are not listed: their order matters little."""

Seconds = tuple[float, float]


def cpu_s() -> float:
    """Of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass
class Durations:
    """Of the tests of one process, by node id."""

    seconds: dict[str, Seconds] = field(default_factory=dict)

    @contextmanager
    def measuring(self, test: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), cpu_s()
        yield
        self.seconds[test] = (round(time.monotonic() - wall, 3), round(cpu_s() - cpu, 3))

    def keep(self, path: Path = RECORDED) -> None:
        """Merge with those of earlier runs; tests of files that are gone are left out."""
        merged = {**read(path), **self.seconds}
        kept = {test: seconds for test, seconds in merged.items() if (ROOT / file_of(test)).is_file()}
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(kept, indent=0, sort_keys=True))
        beside.replace(path)


def file_of(test: str) -> str:
    return test.split("::", 1)[0]


def read(path: Path = RECORDED) -> dict[str, Seconds]:
    return {test: tuple(seconds) for test, seconds in json.loads(path.read_text()).items()} if path.is_file() else {}


def by_file(seconds: Mapping[str, Seconds]) -> dict[str, Seconds]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for test, (wall, cpu) in seconds.items():
        sums[file_of(test)][0] += wall
        sums[file_of(test)][1] += cpu
    return {file: (wall, cpu) for file, (wall, cpu) in sums.items()}


def expected() -> dict[str, float]:
    """How long each file will take: as recorded here, else as listed."""
    listed = json.loads(LONGEST.read_text()) if LONGEST.is_file() else {}
    return {**listed, **{file: wall for file, (wall, _) in by_file(read()).items()}}


def main(rows: int = 25) -> None:
    """Print the files that cost most; write the list of the longest."""
    files = by_file(read())
    print(f"{'wall s':>8} {'CPU s':>8}  file")
    for file, (wall, cpu) in sorted(files.items(), key=lambda one: -one[1][1])[:rows]:
        print(f"{wall:8.1f} {cpu:8.1f}  {file}")
    longest = {file: round(wall) for file, (wall, _) in sorted(files.items()) if wall >= LISTED_S}
    LONGEST.write_text(json.dumps(longest, indent=2) + "\n")


if __name__ == "__main__":
    main()
