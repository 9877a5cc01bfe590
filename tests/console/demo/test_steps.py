"""Steps have the order of time, and each has its cause except what a person did."""

from dataclasses import fields, replace
from datetime import timedelta
from itertools import pairwise

import pytest

from millrace.console.demo.driver import Step, steps
from millrace.console.demo.electricity import STORY
from millrace.console.queries.report import WorkloadReport


@pytest.fixture
def made(report: WorkloadReport, actions: list[Step]) -> list[Step]:
    return steps(STORY.names, report.runs, actions)


def subject(step: Step) -> str:
    return step.name.partition(": ")[0]


def test_steps_are_in_the_order_of_time_and_no_cause_comes_late(made: list[Step]) -> None:
    assert all(before.started <= after.started for before, after in pairwise(made))
    place = {step.id: number for number, step in enumerate(made)}
    assert len(place) == len(made)
    assert [step.name for step in made if step.caused_by in place and place[step.caused_by] > place[step.id]] == []


def test_the_second_release_goes_back_to_the_clock(made: list[Step]) -> None:
    known = {step.id: step for step in made}
    step, chain = next(step for step in made if step.subject == "release version 2"), []
    while step.caused_by:
        step = known[step.caused_by]
        chain.append(subject(step))
    assert chain == [
        "train alarm",
        "retrain alarm input-drift",
        "alarm input-drift",
        "monitor windows until 1997-05-15",
        "clock to 1997-05-15 06:00",
    ]


def test_files_schedules_and_lasting_alarms_have_their_causes(made: list[Step]) -> None:
    known = {step.id: step for step in made}
    causes = {step.name: subject(known[step.caused_by]) for step in made if step.caused_by in known}
    assert causes["ingest labels/1997-05.csv: 1,488 accepted, 48 quarantined"] == "put labels/1997-05.csv"
    assert causes["retrain schedule: not started: cool-down until 1997-08-05"] == "clock to 1997-07-01 07:00"
    assert causes["train alarm: refused by calibration, non_inferiority"] == "retrain alarm input-drift"
    assert causes["train first: registered version 1"].startswith("ingest training/1996-")


def test_an_execution_that_was_started_by_hand_has_no_cause(report: WorkloadReport, actions: list[Step]) -> None:
    first, last = report.runs[0], report.runs[-1]
    by_hand = replace(first, arn="arn:by-hand", input={"cause": "console"}, started=last.started + timedelta(1))
    assert steps(STORY.names, [*report.runs, by_hand], actions)[-1].caused_by is None


def test_a_step_as_json(made: list[Step]) -> None:
    said = made[0].as_json()
    assert said.keys() - {field.name for field in fields(Step)} == {"name"}
    assert said["started"].startswith("1997-01-01T08:00:")
