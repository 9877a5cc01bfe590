"""An interrupt at any moment leaves no process, no port and no file outside the build folder.

While these run, this process adopts the orphans of what it starts (Linux's "subreaper"): whatever a demo leaves
behind becomes a child of ours, whichever environment, session or folder it has taken."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import descendants, parents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER = 36
END_S = 120
REACHED_S = 600
WITHIN_S = 1.5
"""An interrupt comes at a random moment within so many seconds after the beginning of a phase."""

Condition = Callable[[Path], bool]


def holds(pattern: str, word: str = "") -> Condition:
    """Whether a file below the build folder matches the pattern and holds the word."""
    return lambda build: any(word in path.read_text(errors="replace") for path in build.glob(pattern))


MOMENTS: dict[str, Condition] = {
    "synthesis": holds("synth.log"),
    "deployment": holds("deploy.log"),
    "ingestion": holds("local/logs/functions/*-ingestion.log"),
    "training": holds("local/logs/jobs/training/*.log", "epoch=0"),
    "endpoint": holds("local/logs/functions/*-advance_release.log"),
}


LATE = ("ingestion", "training", "endpoint")
"""Of the phases: those before them are lived through first, for half a minute and more."""
TIMES = [
    pytest.param(
        name,
        random.Random(f"{name} {turn}").uniform(0, WITHIN_S),
        marks=[pytest.mark.night("by day each early phase is interrupted once")] * (turn > 0 or name in LATE),
    )
    for name in MOMENTS
    for turn in range(3)
]
"""Phase and seconds into it; the first of each early phase is not slow."""


def command(process: int) -> str:
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def sockets(processes: set[int]) -> set[str]:
    """The inodes of the sockets that the processes hold open."""
    found = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                name = os.readlink(link)
            except OSError:
                continue
            if name.startswith("socket:["):
                found.add(name[8:-1])
    return found


def listening() -> set[str]:
    """The inodes of the sockets in LISTEN, from the kernel's table."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {fields[9] for fields in lines if fields[3] == "0A"}


def strangers() -> set[str]:
    """Files in the repository's folder that git neither has nor ignores."""
    asked = ["git", "ls-files", "--others", "--exclude-standard"]
    return set(subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.fixture
def orphans() -> Iterator[Callable[[], dict[int, str]]]:
    """What was adopted since and lives: process and command line.

    A process without a command line has given its memory back: it is ending, and a name the next moment."""
    before = {process for process, parent in parents().items() if parent == os.getpid()}
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield lambda: {
        process: line
        for process, parent in parents().items()
        if parent == os.getpid() and process not in before
        if (line := command(process))
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def demo(build: Path, temporary: Path) -> subprocess.Popen[bytes]:
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "millrace.console.cli", "demo", "--build", str(build)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize(("moment", "within_s"), TIMES)
def test_nothing_is_left(tmp_path: Path, moment: str, within_s: float, orphans: Callable[[], dict[int, str]]) -> None:
    build, temporary, before = tmp_path / "build", tmp_path / "tmp", strangers()
    process = demo(build, temporary)
    try:
        end = time.monotonic() + REACHED_S
        while not MOMENTS[moment](build):
            assert process.poll() is None, "expected the demo to be under way"
            assert time.monotonic() < end, f"expected the {moment} within {REACHED_S} s"
            time.sleep(0.02)
        time.sleep(within_s)
        family = descendants(process.pid)
        ports = sockets(family) & listening()
        assert len(family) > 1
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)  # an impatient person's second one changes nothing
        assert process.wait(timeout=END_S) == 128 + signal.SIGINT
        assert orphans() == {}
        assert not ports & listening()
        assert list(temporary.iterdir()) == []
        assert strangers() <= before
    finally:
        for left in descendants(process.pid) & set(parents()):
            os.kill(left, signal.SIGKILL)
        process.wait()
