"""What a replay compares, and what it says is missing; the stories compare real versions."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from math import nextafter
from typing import Any

import pytest

from millrace.console.queries.replay import Difference, differences, said_by_model
from millrace.decisions.record import Withheld
from millrace.decisions.store import LocatedDecision
from millrace.errors import EnvironmentNotFoundError
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
