"""Names that a person understands."""

from dataclasses import replace

import pytest

from console.demo.naming import alarm_name, name_of, times, words
from console.queries.executions import Execution


def test_each_execution_says_what_it_was_about_and_what_came_of_it(found: list[Execution]) -> None:
    names = [name_of(execution) for execution in found]
    assert [name for name in names if not name.startswith("ingest training/")] == [
        "train (first): version 1",
        "release version 1",
        "score scoring/week.csv: 335 rows, 1 quarantined",
        "ingest labels/1997-04.csv: 1,440 rows",
        "monitor: 3 windows judged, drift 0.46 × its bound, error 0.81 × its bound",
        "monitor: 2 windows judged, drift 224 × its bound",
        "retrain: accepted, asked by alarm",
        "train (alarm): version 2",
        "release version 2",
        "ingest labels/1997-05.csv: 1,488 rows, 48 quarantined",
        "monitor: 2 windows judged, drift 224 × its bound",
        "retrain: refused, cool-down until 1997-06-19",
        "retrain: refused, cool-down until 1997-06-19",
        "monitor: 2 windows judged, drift 224 × its bound, error 0.87 × its bound",
        "retrain: accepted, asked by alarm",
        "train (alarm): refused by calibration and non-inferiority",
        "retrain: refused, cool-down until 1997-08-05",
    ]
    assert "ingest training/1996-12.parquet: 1,488 rows" in names


def one(found: list[Execution], machine: str) -> Execution:
    return next(execution for execution in found if execution.machine == machine)


NOTHING = {
    "ingest": ("ingestion", {"rejected": True, "reason": "not_a_table", "source": "s3://b/k"}, "rejected, not_a_table"),
    "train": ("budget", {"accepted": False, "reason": "busy"}, "not started, busy"),
    "monitor": ("plan_windows", {"count": 0, "reason": "no champion"}, "nothing new, no champion"),
    "release": ("start_release", {"outcome": "done"}, "done"),
}


@pytest.mark.parametrize("machine", NOTHING)
def test_what_came_to_nothing_says_so(found: list[Execution], machine: str) -> None:
    state, answer, name = NOTHING[machine]
    before = one(found, machine)
    came = replace(before, output={state: {"answer": before.answer(state) | answer}})
    assert name_of(came).partition(": ")[2] == name


def test_a_failure_says_its_error(found: list[Execution]) -> None:
    failed = replace(one(found, "release"), status="FAILED", output={}, failure="RolledBack: an alarm of the release")
    assert name_of(failed) == "release version 1: failed, RolledBack: an alarm of the release"
    assert name_of(replace(one(found, "train"), status="RUNNING", output={})) == "train: running"


def test_words_as_a_person_lists_them() -> None:
    assert words(["latency"]) == "latency"
    assert words(["size", "non_inferiority", "finite_weights"]) == "size, non-inferiority and finite weights"
    assert words([]) == ""
    assert [alarm_name(f"millrace-local-x-{name}") for name in ("input-drift", "error")] == ["input drift", "error"]
    assert [times(ratio) for ratio in (0.4608, 9.99, 224.0)] == ["0.46", "9.99", "224"]
