"""Redoes a failed run of several drops: each drop gets a run of its own, so that no drop fails because of another.

A small file may hold millions of rows. A function then runs out of memory or time, for all drops of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import ValidationError

from millrace.messages.envelope import Message
from millrace.messages.execution import FAILURES, ExecutionEnded
from millrace.names import WorkloadNames
from millrace.state.claims import Start
from millrace.state.slots import pool_of


class _Event(Message):
    source: Literal["aws.states"]
    detail: ExecutionEnded


def failed_run(body: str, names: WorkloadNames, machines: Iterable[str]) -> str:
    """The name of the failed execution that the message is about; empty for any other message.

    The execution is one of the `machines` of this workload."""
    try:
        ended = _Event.model_validate_json(body).detail
    except ValidationError:
        return ""
    is_ours = ended.machine in {names.machine_arn(machine) for machine in machines}
    return ended.run if is_ours and ended.status in FAILURES else ""


def one_by_one(start: Start) -> list[Start]:
    """An execution for each drop of this one, named as if the drop had come alone; none if it had only one drop."""
    # Cause and feed stay; time and objects become those of the one drop.
    document = json.loads(start.input)
    detail = document["detail"]
    if len(detail["objects"]) == 1:
        return []
    return [
        Start(
            machine=start.machine,
            pool=pool_of(start.machine, detail["feed"]),
            name=each["drop_id"],
            input=json.dumps(
                {**document, "as_of": each["as_of"], "detail": {**detail, "objects": [each]}}, sort_keys=True
            ),
        )
        for each in detail["objects"]
    ]
