"""Titles and outcomes of runs."""

from dataclasses import replace

import pytest

from console.queries.executions import Execution
from console.queries.report import WorkloadReport
from console.queries.run_title import outcome, titled
from millrace.messages.release import ReleaseStarted


def lines(report: WorkloadReport) -> list[str]:
    return [f"{titled(report.names, run)}: {outcome(run)}".removesuffix(": ") for run in report.runs]


def test_each_execution_has_its_subject_and_its_outcome(report: WorkloadReport) -> None:
    named = lines(report)
    assert "ingest training/1996-12.parquet: 1,488 rows" in named
    assert [line for line in named if not line.startswith("ingest training/")] == [
        "train first: version 1",
        "release version 1",
        "score scoring/week.csv: 335 rows, 1 quarantined",
        "monitor windows until 1997-04-15: 2 windows judged, drift 0.572 × its bound",
        "ingest labels/1997-04.csv: 1,440 rows",
        "monitor windows until 1997-05-01: 3 windows judged, drift 0.456 × its bound, error 0.811 × its bound",
        "monitor windows until 1997-05-15: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: accepted, trigger alarm",
        "train alarm: version 2",
        "release version 2",
        "ingest labels/1997-05.csv: 1,488 rows, 48 quarantined",
        "monitor windows until 1997-06-01: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: refused, cool_down until 1997-06-19",
        "monitor windows until 1997-06-15: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: refused, cool_down until 1997-06-19",
        "ingest labels/1997-06.csv: 1,440 rows",
        "monitor windows until 1997-07-01: 2 windows judged, drift 224 × its bound, error 0.868 × its bound",
        "retrain alarm input-drift: accepted, trigger alarm",
        "train alarm: refused by calibration, non_inferiority",
        "retrain schedule: refused, cool_down until 1997-08-05",
    ]


RELEASED = ReleaseStarted(
    outcome="done",
    label="v2-1f0e4a",
    has_canary=False,
    package_arn="arn:p/2",
    version="2",
    run_name="r",
    image="i",
    model_data_url="s3://b/m",
    previous_version="1",
    has_live=True,
    has_challenger=False,
).model_dump()
NOTHING: dict[str, tuple[str, dict[str, object], str]] = {
    "ingest": ("ingestion", {"rejected": True, "reason": "foreign", "source": "s3://b/k"}, "rejected, foreign"),
    "train": (
        "budget",
        {"accepted": False, "reason": "busy", "projected_usd": 1, "monthly_usd": 2},
        "not started, busy",
    ),
    "monitor": ("plan_windows", {"count": 0, "reason": "no_champion"}, "nothing new, no_champion"),
    "release": ("start_release", RELEASED, "done"),
    "score": ("ingestion", {"rejected": True, "reason": "foreign", "source": "s3://b/k"}, "rejected, foreign"),
}


def first(report: WorkloadReport, machine: str) -> Execution:
    return report.of(machine)[0]


@pytest.mark.parametrize("machine", NOTHING)
def test_a_run_that_ended_early_gives_its_reason(report: WorkloadReport, machine: str) -> None:
    state, answer, said = NOTHING[machine]
    assert outcome(replace(first(report, machine), output={state: {"answer": answer}})) == said


def test_a_machine_without_a_presenter_has_its_name(report: WorkloadReport) -> None:
    other = replace(first(report, "train"), machine="audit")
    assert (titled(report.names, other), outcome(other)) == ("audit", "")


def test_a_failure_says_its_error(report: WorkloadReport) -> None:
    error = "RolledBack: an alarm of the release"
    failed = replace(first(report, "release"), status="FAILED", output={}, failure=error)
    assert outcome(failed) == f"failed, {error}"
    assert outcome(replace(first(report, "train"), status="RUNNING", output={})) == "running"
