"""Why the declared fallback is answered in place of a model's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.executions import list_executions
from console.queries.runs import SHORT
from console.queries.versions import state_of
from millrace.names import WorkloadNames
from millrace.state.pointers import ReleasePointers

LOOKED_AT = timedelta(minutes=15)
"""Of the log: an open circuit hides for a while what opened it."""
SAID = "the endpoint gave no answer"
"""The message with which the prediction function logs it; beside it lie `error` and `reason`."""
OPEN = "the circuit is open"
MOST_EVENTS = 1000
MOST_CHARACTERS = 400
UNKNOWN = "no model is live yet, or its endpoint fails"


def why_fallback(environment: Environment, names: WorkloadNames) -> str:
    """That no version is live, or which one is and the last reason in the function's log; UNKNOWN without the right to
    read these."""
    try:
        champion = ReleasePointers(state_of(environment, names)).champion()
        if champion is None:
            return f"no model is live yet{_on_its_way(environment, names)}"
        reasons = list(_reasons(environment.client("logs"), names))
    except ClientError:
        return UNKNOWN
    # What opened the circuit says more than that it is open.
    told = [reason for reason in reasons if OPEN not in reason] or reasons
    last = f": {told[-1][:MOST_CHARACTERS]}" if told else ""
    return f"version {champion.version} is live, but its endpoint gave no answer{last}"


def _on_its_way(environment: Environment, names: WorkloadNames) -> str:
    """`, train 0123abcd is on the way to one`: what runs that makes a version live."""
    states = environment.client("stepfunctions")
    for machine in ("release", "train"):
        for run in list_executions(states, names, machine, status="RUNNING") or ():
            return f", {machine} {run['name'][:SHORT]} is on the way to one"
    return ", and neither a training nor a release runs"


def _reasons(logs: Any, names: WorkloadNames) -> Iterator[str]:
    """Of the last minutes, the oldest first: the class of the error and its message."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{names.function('prediction')}",
        startTime=int((datetime.now(UTC) - LOOKED_AT).timestamp() * 1000),
        filterPattern=f'"{SAID}"',
    )
    for event in islice((event for page in pages for event in page["events"]), MOST_EVENTS):
        entry = json.loads(event["message"])
        yield f"{entry['error']}: {entry['reason']}"
