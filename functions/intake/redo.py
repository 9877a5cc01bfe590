"""A run of several drops that failed is redone: each drop gets a run of its own, so that none falls with another.

A small file may hold millions of rows, which let a function run out of memory or time for all drops of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import ValidationError

from millrace.messages.envelope import Message
from millrace.messages.execution import FAILURES, ExecutionEnded
from millrace.names import WorkloadNames
from millrace.state.claims import Start


class _Event(Message):
    source: Literal["aws.states"]
    detail: ExecutionEnded


def failed_run(body: str, names: WorkloadNames, machines: Iterable[str]) -> str:
    """The name of the execution of one of these machines that failed, as the message says; empty for another."""
    try:
        ended = _Event.model_validate_json(body).detail
    except ValidationError:
        return ""
    is_ours = ended.machine in {names.machine_arn(machine) for machine in machines}
    return ended.run if is_ours and ended.status in FAILURES else ""


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
