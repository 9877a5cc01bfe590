from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TEN = """\
import sys
from pathlib import Path
from benchmarks.kills import run
outcome = run(10, Path(sys.argv[1]))
assert outcome.different == 0 and outcome.in_writes >= 5, outcome
"""
FORGETFUL = """\
from millrace.jobs.training import checkpoint
restore = checkpoint.restore
def forgetful(*given, **named):
    if (found := restore(*given, **named)) is not None:
        found[0].step = max(0, found[0].step - 1)
    return found
checkpoint.restore = forgetful
"""


@pytest.mark.night("a hundred kills; by day the loop goes on from one checkpoint")
@pytest.mark.parametrize("fault", ["", FORGETFUL], ids=["as it is", "a step twice"])
def test_ten_kills_leave_the_same_weights(tmp_path: Path, fault: str) -> None:
    """In a process of its own: this one has threads, which a fork loses. A step that is done twice is noticed."""
    command = [sys.executable, "-c", fault + TEN, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) is not bool(fault), done.stderr
    assert ("Outcome(" in done.stderr) is bool(fault), done.stderr
