"""What a change reaches: the tests that a pull request waits for."""

from __future__ import annotations

import pytest

from tests import reach


@pytest.mark.parametrize(
    ("changed", "waits_for", "leaves"),
    [
        ("console/pages/weeks.py", "tests/console/pages/", "tests/jobs/"),
        ("functions/guard/handler.py", "tests/functions/guard/", "tests/jobs/"),
        ("functions/guard/handler.py", "tests/infra/test_cold_starts.py", "tests/functions/intake/"),
        ("functions/guard/handler.py", reach.STORY, "tests/end_to_end/test_climb.py"),
        ("millrace/models/lstm/network.py", "tests/jobs/training/", "tests/console/pages/"),
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
