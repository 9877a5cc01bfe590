"""What a change reaches: the tests that a pull request waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import reach
from tests.durations import ROOT


@pytest.mark.parametrize(
    ("changed", "waits_for", "leaves"),
    [
        ("console/pages/weeks.py", "tests/console/pages/", "tests/jobs/"),
        ("functions/guard/handler.py", "tests/functions/guard/", "tests/jobs/"),
        ("functions/guard/handler.py", "tests/infra/test_cold_starts.py", "tests/functions/intake/"),
        ("functions/guard/handler.py", reach.STORY, "tests/end_to_end/test_climb.py"),
        ("millrace/models/bag/network.py", "tests/jobs/training/", "tests/console/pages/"),
        ("tests/end_to_end/conftest.py", "tests/end_to_end/test_climb.py", "tests/millrace/"),
        ("tests/end_to_end/test_climb.py", "tests/end_to_end/test_climb.py", reach.STORY),
        ("README.md", "tests/architecture/", "tests/millrace/"),
    ],
)
def test_a_change_reaches_what_imports_starts_or_packs_it(changed: str, waits_for: str, leaves: str) -> None:
    reached = reach.reached({changed})
    assert any(test.startswith(waits_for) for test in reached)
    assert not any(test.startswith(leaves) for test in reached)


def test_what_is_no_python_reaches_everything() -> None:
    assert reach.reached({"workloads/electricity/workload.yaml"}) >= {
        reach.STORY,
        "tests/localcloud/test_foreign_app.py",
    }


NIGHT = """
import pytest

@pytest.mark.night{0}
def test_of_the_night(): pass
"""


@pytest.mark.parametrize("reason", ["", "(3)"])
def test_a_night_without_a_reason_stops_the_run(reason: str, tmp_path: Path) -> None:
    (tmp_path / "test_night.py").write_text(NIGHT.format(reason))
    words = ("-p", "tests.conftest", "--rootdir", str(tmp_path), "-c", str(ROOT / "pyproject.toml"), "--collect-only")
    command = [sys.executable, "-m", "pytest", *words, str(tmp_path / "test_night.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "takes one reason" in done.stderr


def test_the_longest_files_that_are_listed_exist() -> None:
    listed = json.loads((ROOT / "tests" / "longest.json").read_text())
    assert [file for file in listed if not (ROOT / file).is_file()] == []
