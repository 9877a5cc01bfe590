"""A run of several drops that failed is redone: each drop gets a run of its own, so that none falls with another.

A small file may hold millions of rows, which let a function run out of memory or time for all drops of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, ValidationError

from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.state.claims import Start


class _Ended(Message):
    machine: str = Field(alias="stateMachineArn")
    name: str
    status: Literal["FAILED", "TIMED_OUT"]


class _Event(Message):
    source: Literal["aws.states"]
    detail: _Ended


def failed_run(body: str, names: WorkloadNames, machines: Iterable[str]) -> str:
    """The name of the execution of one of these machines that the message says has failed; empty for another message.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    try:
        ended = _Event.model_validate_json(body).detail
    except ValidationError:
        return ""
    return ended.name if ended.machine in {names.machine_arn(machine) for machine in machines} else ""


def one_by_one(start: Start) -> list[Start]:
    """An execution for each of its drops, named by the drop as one that came alone; none where it had one only."""
    document = json.loads(start.input)
    detail = document["detail"]
    if len(detail["objects"]) == 1:
        return []
    return [
        Start(
            machine=start.machine,
            name=each["drop_id"],
            input=json.dumps(
                {**document, "as_of": each["as_of"], "detail": {**detail, "objects": [each]}}, sort_keys=True
            ),
        )
        for each in detail["objects"]
    ]
