"""The sentences on releases, rollbacks and refused models: the newest ones, in the order of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from console.pages.changes import changes
from console.pages.summary import summary
from console.queries.executions import Execution
from console.queries.report import JudgedModel, WorkloadReport

LATER = timedelta(days=60)
"""From the release of version 2 to what a test adds; the model of 1 July was refused before."""


def released(report: WorkloadReport, *, version: str, previous: str, after: timedelta) -> Execution:
    """A release of the report again, of another version and later than the release of version 2."""
    last = report.of("release")[-1]
    opened = last.answer("start_release") | {"version": version, "previous_version": previous}
    output = last.output | {"start_release": last.output["start_release"] | {"answer": opened}}
    at = last.started + after
    return replace(last, arn=f"arn:{at}", output=output, started=at, stopped=at)


def rolled_back(run: Execution, **asked: object) -> Execution:
    return replace(run, input={**run.input, "rollback": {"reason": "wrong since noon", **asked}})


def also(report: WorkloadReport, *runs: Execution) -> WorkloadReport:
    return replace(report, runs=(*report.runs, *runs))


def test_a_release_and_the_rollback_after_it_are_told(report: WorkloadReport) -> None:
    release = released(report, version="3", previous="2", after=LATER)
    back = rolled_back(released(report, version="2", previous="3", after=LATER + timedelta(hours=1)))
    said = changes(also(report, release, back))
    assert [sentence.partition(" (")[0] for sentence in said] == [
        "On 15 May 1997 the input drift alarm was raised",
        "The model trained on 1 July 1997 did not pass",
        "Version 3 was released on 14 July 1997 at 06:00 UTC.",
        "On 14 July 1997 at 07:00 UTC a rollback brought version 2 back in the place of version 3",
    ]
    assert said[-1].endswith("version 3 (wrong since noon).")
    assert " ".join(said) in summary(also(report, release, back))


def test_the_newest_three_are_told(report: WorkloadReport) -> None:
    moves = [
        released(report, version=str(number), previous=str(number - 1), after=LATER * number) for number in range(3, 8)
    ]
    said = " ".join(changes(also(report, *moves)))
    assert [number for number in "34567" if f"Version {number} was released" in said] == ["4", "5", "6"]
    assert "did not pass" not in said


def test_the_release_of_the_live_version_and_a_restored_endpoint_are_not_told_again(report: WorkloadReport) -> None:
    live = released(report, version="3", previous="2", after=LATER)
    assert changes(also(report, live)) == changes(report)
    restored = rolled_back(released(report, version="2", previous="2", after=LATER), restores=True)
    assert changes(also(report, restored)) == changes(report)


def test_a_rollback_after_an_alarm_is_not_the_release_after_it(report: WorkloadReport) -> None:
    first, _ = report.of("release")
    others = [run for run in report.runs if run.machine != "release"]
    back = rolled_back(released(report, version="1", previous="2", after=LATER))
    alarm, *_ = changes(replace(report, runs=(*others, first, back)))
    assert "was released on" not in alarm


def test_models_of_one_day_are_told_apart_by_time(report: WorkloadReport) -> None:
    refused = report.models[-1]
    assert refused.version.trained_at is not None
    at = refused.version.trained_at

    def trained(at: datetime) -> JudgedModel:
        return replace(refused, version=replace(refused.version, trained_at=at))

    said = " ".join(changes(replace(report, models=(*report.models, trained(at + timedelta(hours=3))))))
    assert "The model trained on 1 July 1997 at 06:00 UTC did not pass" in said
    assert "The model trained on 1 July 1997 at 09:00 UTC did not pass" in said
    close = " ".join(changes(replace(report, models=(*report.models, trained(at + timedelta(seconds=9))))))
    assert "1 July 1997 at 06:00:02 UTC did not pass" in close
    assert "1 July 1997 at 06:00:11 UTC did not pass" in close
    assert "The model trained on 1 July 1997 did not pass" in " ".join(changes(report))
