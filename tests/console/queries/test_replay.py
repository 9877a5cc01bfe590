"""What a replay compares, and what it says is missing; the stories compare real versions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nextafter
from typing import Any

import pytest

from millrace.console.queries.decisions import acting_then
from millrace.console.queries.replay import Difference, differences, said_by_model
from millrace.decisions.record import Withheld
from millrace.decisions.store import LocatedDecision
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent, AutomationMoved, ByPerson, FloorMoved
from millrace.messages.envelope import Message
from millrace.state.audit import Record
from millrace.workload.policy import Automate, Policy
from tests import builders

ANSWER = {"value": 1, "probability": 0.75}
DECISION = builders.decision(
    event_time=datetime(1997, 5, 1, tzinfo=UTC), output=ANSWER, model_version="2", latency_ms=1.0
)


@pytest.mark.parametrize(
    ("kept", "again", "cell", "bit"),
    [
        ({"p": 0.5}, {"p": nextafter(0.5, 1)}, "p", 0),
        ({"p": 0.0}, {"p": -0.0}, "p", 63),
        ({"p": 1.0}, {"p": 1.5}, "p", 51),
        ({"v": [1.0, 2.0]}, {"v": [1.0, 2.5]}, "v[1]", 50),
        ({"v": [1.0]}, {"v": [1.0, 2.0]}, "v[1]", None),
        ({"v": "cat"}, {"v": "dog"}, "v", None),
        ({"v": 1, "likeness": 0.5}, {"v": 1}, "likeness", None),
        ({"v": 1}, {"v": 1, "expected_cost": 2.0}, "expected_cost", None),
    ],
)
def test_a_cell_that_is_another_one_is_told(kept: Any, again: Any, cell: str, bit: int | None) -> None:
    [found] = differences(kept, again)
    assert (found.cell, found.bit) == (cell, bit)


def test_equal_answers_have_no_difference_as_json_writes_them_back() -> None:
    answer = {"value": "x", "all": [0.1, None, 1e-300, 3], "expected_cost": None}
    assert list(differences(answer, json.loads(json.dumps(answer)))) == []
    assert list(differences(answer, {"value": "x", "all": [0.1, None, 1e-300, 3]})) == []
    assert list(differences({"v": None}, {"v": 1.0})) == [Difference(cell="v", kept=None, again=1.0, bit=None)]


def located(**changes: Any) -> LocatedDecision:
    return LocatedDecision(uri="s3://b/k", decision=replace(DECISION, **changes))


def test_the_model_s_answer_counts_where_the_naive_rule_answered_in_its_place() -> None:
    assert said_by_model(located()) == ("2", ANSWER)
    withheld = Withheld(model_version="3", output={"value": 0, "probability": 0.25})
    assert said_by_model(located(model_version=None, withheld=withheld)) == ("3", withheld.output)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"model_version": None, "fallback": True}, "one of the fallback alone"),
        ({"output": dict.fromkeys(ANSWER)}, "its row was held out"),
    ],
)
def test_without_a_model_s_answer_there_is_nothing_to_compare(changes: Any, missing: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=missing):
        said_by_model(located(**changes))


DAY, START = timedelta(days=1), datetime(1997, 6, 1, tzinfo=UTC)
POLICY = Policy(automate=Automate(promised_error=0.05))
PACKAGE = builders.package(metadata={"run": "r", "promised_error": "0.05", "automate_from": "0.8"})


def record(day: float, event: AuditEvent, details: Message) -> Record:
    return Record(actor="x", execution_arn="arn", event=event, as_of=START + day * DAY, cause="", details=details)


def moved(version: str, threshold: float) -> AutomationMoved:
    return AutomationMoved(
        version=version, promised_error=0.05, threshold=threshold, before=0.8, learnt=1, acted=1, wrong=0
    )


def floor(below: bool) -> FloorMoved:
    return FloorMoved(version="2", below=below, before=not below, labels=96, own=0.3, rule=0.2)


SWITCH = ByPerson(by="ann", reason="")
RECORDS = [
    record(1, AuditEvent.AUTOMATION_MOVED, moved("1", 0.99)),
    record(2, AuditEvent.AUTOMATION_MOVED, moved("2", 0.85)),
    record(3, AuditEvent.FLOOR_ON, floor(True)),
    record(4, AuditEvent.AUTOMATION_PAUSED, SWITCH),
    record(5, AuditEvent.FLOOR_OFF, floor(False)),
    record(6, AuditEvent.AUTOMATION_RESUMED, SWITCH),
    record(7, AuditEvent.AUTOMATION_MOVED, moved("2", 0.9)),
]


@pytest.mark.parametrize(
    ("day", "held"),
    [
        (1.5, (0.8, False, None)),
        (2.5, (0.85, False, None)),
        (3.5, (0.85, True, None)),
        (4.5, (0.85, True, "paused")),
        (5.5, (0.85, False, "paused")),
        (6.5, (0.85, False, None)),
        (7.5, (0.9, False, None)),
    ],
)
def test_what_held_is_what_was_recorded_until_then(day: float, held: Any) -> None:
    found = acting_then(POLICY, PACKAGE, RECORDS, replace(DECISION, inferred_at=START + day * DAY), secret="s")
    assert (found.threshold, found.below_floor, found.stopped) == held


def test_a_version_without_a_threshold_for_the_promise_has_none() -> None:
    """It was evaluated for a weaker promise than is declared."""
    weaker = replace(PACKAGE, metadata={**PACKAGE.metadata, "promised_error": "0.1"})
    decision = replace(DECISION, inferred_at=START)
    assert acting_then(POLICY, weaker, (), decision, secret="").threshold is None
    assert acting_then(POLICY, PACKAGE, (), decision, secret="").threshold == 0.8
