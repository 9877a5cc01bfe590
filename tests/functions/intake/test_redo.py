"""A run of several drops that failed: each drop gets a run of its own."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from millrace.state.claims import Claims
from millrace.state.table import StateTable
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws
from tests.functions.intake.test_intake import Sent, drops_in, records_of, running, slots, states, wide

__all__ = ["states", "wide"]


def failed(event: Any, run_name: str, *, machine: str = "ingest", status: str = "FAILED") -> dict[str, Any]:
    """The queue's message of the end of an execution."""
    told = event("failed_run")
    told["detail"] |= {
        "name": run_name,
        "executionArn": NAMES.execution_arn(machine, run_name),
        "stateMachineArn": NAMES.machine_arn(machine),
        "status": status,
    }
    return {"Records": [event("intake")["Records"][0] | {"body": json.dumps(told)}]}


def end(states: Any, aws: Aws, name: str) -> None:
    """The execution ends, and `cleanup` frees its slot."""
    arn = NAMES.execution_arn("ingest", name)
    states.stop_execution(executionArn=arn)
    aws.slots.free(arn)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_each_drop_of_a_failed_group_gets_a_run_of_its_own(
    status: str, states: Any, wide: Any, event: Any, aws: Aws
) -> None:
    wide({"Records": records_of(event, "a", "b", "c")})
    (group,) = running(states)
    end(states, aws, group)
    for _ in range(2):  # the event may come twice
        assert wide(failed(event, group, status=status)) == {"batchItemFailures": []}
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"], ["c"]]
    alone = sorted(set(running(states)) - {group})
    assert slots(aws) == [NAMES.execution_arn("ingest", name) for name in alone]
    claims = Claims(StateTable(aws.dynamodb, NAMES))
    assert [claims.execution_of(name) for name in alone] == alone, "each is found by its drop's id"
    for name in alone:
        found = claims.find(name)
        given = states.describe_execution(executionArn=NAMES.execution_arn("ingest", name))["input"]
        assert found
        assert found.input == given


def test_a_drop_that_comes_again_stays_in_its_own_run(states: Any, wide: Any, event: Any, aws: Aws) -> None:
    records = records_of(event, "a", "b")
    wide({"Records": records})
    (group,) = running(states)
    end(states, aws, group)
    wide(failed(event, group))
    before = sorted(running(states))
    assert wide({"Records": records}) == wide({"Records": records[:1]}) == {"batchItemFailures": []}
    assert sorted(running(states)) == before
    assert len(slots(aws)) == 2, "of the two that run"


def test_the_failure_of_one_drop_is_its_own(states: Any, wide: Any, event: Any, aws: Aws) -> None:
    wide({"Records": records_of(event, "a")})
    (name,) = running(states)
    end(states, aws, name)
    for told in (failed(event, name), failed(event, "by hand"), failed(event, name, machine="score")):
        assert wide(told) == {"batchItemFailures": []}
    assert (running(states), slots(aws)) == ([name], [])


def test_without_slots_for_all_the_rest_waits(
    states: Any, load: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("intake")  # two slots
    handler({"Records": records_of(event, "a", "b", "c")})
    (group,) = running(states)
    end(states, aws, group)
    monkeypatch.setattr(sys.modules["millrace.functions.intake.handler"], "SQS", sent := Sent())
    told = failed(event, group)
    assert handler(told) == {"batchItemFailures": []}
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"]]
    assert [message["MessageBody"] for message in sent.messages] == [told["Records"][0]["body"]]
    for name in {*running(states)} - {group}:
        end(states, aws, name)
    handler(told)
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"], ["c"]]
    assert len(slots(aws)) == 1
