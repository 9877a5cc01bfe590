"""An interrupt at any moment leaves no process, no port and no file outside the build folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOMENTS_S = [round(moment, 2) for moment in sorted(random.Random(7).uniform(0.3, 26) for _ in range(10))]
END_S = 30


def processes_with(marker: str) -> dict[int, str]:
    """The command line of every process whose environment or command line names `marker`."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in told:
            found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def listening() -> set[str]:
    """Local addresses in LISTEN, from the kernel's table."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {fields[1] for line in lines if (fields := line.split())[3] == "0A"}


def changed_since(moment: float) -> set[Path]:
    """Files of the repository, outside what git ignores, that are newer than `moment`."""
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        path for line in told.stdout.splitlines() if (path := ROOT / line).is_file() and path.stat().st_mtime > moment
    }


@pytest.mark.parametrize("moment_s", MOMENTS_S)
def test_nothing_is_left(tmp_path: Path, moment_s: float) -> None:
    build = tmp_path / "build"
    ports, begin = listening(), time.time()
    temporary = set(Path("/tmp").iterdir())
    demo = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli", "demo", "--build", str(build)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(moment_s)
    assert demo.poll() is None, "the demo is still under way"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=END_S) == 128 + signal.SIGINT
    assert not processes_with(str(build))
    assert listening() <= ports
    assert not changed_since(begin)
    assert {path for path in set(Path("/tmp").iterdir()) - temporary if "millrace" in path.name} == set()


def test_a_process_left_behind_is_seen(tmp_path: Path) -> None:
    """The control: the search does find what would be left."""
    left = subprocess.Popen(["sleep", "30"], env={"WHERE": str(tmp_path)})
    try:
        time.sleep(0.1)
        assert left.pid in processes_with(str(tmp_path))
    finally:
        left.kill()
        left.wait()
