"""One axis for two clocks, and a cause for everything that nobody did by hand."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from console.demo.steps import Noted, Step, steps, wall_s
from console.queries.executions import Execution


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


NOTED = [
    Noted(wall_s=10, cloud=at("1997-01-01T08:00:10Z")),
    Noted(wall_s=20, cloud=at("1997-01-01T08:00:20Z")),
    Noted(wall_s=20, cloud=at("1997-01-15T06:00:00Z")),
    Noted(wall_s=25, cloud=at("1997-01-15T06:00:05Z")),
]


@pytest.mark.parametrize(
    ("cloud", "seconds"),
    [
        ("1997-01-01T08:00:12.5Z", 12.5),
        ("1997-01-10T00:00:00Z", 20),  # a schedule on the way of the move
        ("1997-01-15T06:00:00.25Z", 20.25),
        ("1997-01-15T06:00:09Z", 29),
    ],
)
def test_the_clocks_run_alike_but_for_the_moves(cloud: str, seconds: float) -> None:
    assert wall_s(NOTED, at(cloud)) == pytest.approx(seconds)


def test_without_the_note_at_a_move_weeks_would_pass_on_the_wall() -> None:
    assert wall_s(NOTED[:2], at("1997-01-15T06:00:00Z")) > 1e6


def test_steps_stand_in_the_order_in_which_they_happened(
    found: list[Execution], deeds: list[Step], noted: list[Noted]
) -> None:
    made = steps(found, deeds, noted)
    assert all(before.started <= after.started for before, after in pairwise(made))
    assert all(before.at_s <= after.at_s + 0.01 for before, after in pairwise(made))
    place = {step.id: number for number, step in enumerate(made)}
    assert len(place) == len(made)
    assert [step.name for step in made if step.caused_by in place and place[step.caused_by] > place[step.id]] == []


def test_the_second_release_goes_back_to_the_clock(
    found: list[Execution], deeds: list[Step], noted: list[Noted]
) -> None:
    known = {step.id: step for step in steps(found, deeds, noted)}
    step, chain = next(step for step in known.values() if step.name == "release version 2"), []
    while step.caused_by:
        step = known[step.caused_by]
        chain.append(step.subject)
    assert chain == ["train (alarm)", "retrain", "alarm: input drift", "monitor", "clock to 1997-05-15 06:00"]


def test_files_schedules_and_lasting_alarms_have_their_causes(
    found: list[Execution], deeds: list[Step], noted: list[Noted]
) -> None:
    known = {step.id: step for step in steps(found, deeds, noted)}
    causes = {step.name: known[step.caused_by].subject for step in known.values() if step.caused_by in known}
    assert causes["ingest labels/1997-05.csv: 1,488 rows, 48 quarantined"] == "put labels/1997-05.csv"
    assert causes["retrain: refused, cool-down until 1997-08-05"] == "clock to 1997-07-01 07:00"
    assert causes["train (alarm): refused by calibration and non-inferiority"] == "retrain"
    assert causes["train (first): version 1"].startswith("ingest training/1996-")


def test_an_execution_that_nobody_caused_has_no_cause(
    found: list[Execution], deeds: list[Step], noted: list[Noted]
) -> None:
    by_hand = replace(found[0], arn="arn:by-hand", input={"cause": "console"}, started=found[-1].started + timedelta(1))
    assert steps([*found, by_hand], deeds, noted)[-1].caused_by is None


def test_a_step_as_json_says_both_clocks(found: list[Execution], deeds: list[Step], noted: list[Noted]) -> None:
    said = steps(found, deeds, noted)[0].as_json()
    assert said.keys() - {field.name for field in fields(Step)} == {"name"}
    assert said["started"].startswith("1997-01-01T08:00:")
