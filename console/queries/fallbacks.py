"""Why the prediction function answers with the declared fallback instead of a model's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.executions import list_executions
from millrace.console.queries.runs import SHORT
from millrace.console.queries.versions import find_waiting, state_of
from millrace.names import WorkloadNames
from millrace.state.pointers import ReleasePointers

LOOKED_AT = timedelta(minutes=15)
"""How far back the log is read. While the circuit is open, the reason why it opened lies further back."""
SAID = "the endpoint gave no answer"
"""The message with which the prediction function logs a failed call. The entry also has `error` and `reason`."""
OPEN = "the circuit is open"
"""The part of a reason that only says that the circuit is open."""
MOST_EVENTS = 1000
"""How many log entries are read at most."""
MOST_CHARACTERS = 400
"""How many characters of a reason are shown."""
UNKNOWN = "no model is live yet, or its endpoint fails"
"""The answer without the right to read state and log."""


def why_fallback(environment: Environment, names: WorkloadNames) -> str:
    """That no version is live; or which version is live, and the last reason in the function's log.

    UNKNOWN if the caller may not read these."""
    try:
        champion = ReleasePointers(state_of(environment, names)).champion()
        if champion is None:
            return f"no model is live yet{_on_its_way(environment, names)}"
        reasons = list(_reasons(environment, names))
    except ClientError:
        return UNKNOWN
    # What opened the circuit says more than that it is open.
    told = [reason for reason in reasons if OPEN not in reason] or reasons
    last = f": {told[-1][:MOST_CHARACTERS]}" if told else ""
    return f"version {champion.version} is live, but its endpoint gave no answer{last}"


def _on_its_way(environment: Environment, names: WorkloadNames) -> str:
    """Which run will make a version live: `, train 0123abcd is on the way to one`."""
    states = environment.client("stepfunctions")
    for machine in ("release", "train"):
        for run in list_executions(states, names, machine, status="RUNNING") or ():
            return f", {machine} {run['name'][:SHORT]} is on the way to one"
    if waiting := find_waiting(environment, names):
        newest = waiting[0].version
        return f", and version {newest} waits for a person: millrace approve {newest}"
    return ", and neither a training nor a release runs"


def _reasons(environment: Environment, names: WorkloadNames) -> Iterator[str]:
    """Class and message of each error in the last minutes, the oldest first."""
    events = environment.listed(
        "logs",
        "filter_log_events",
        "events",
        logGroupName=f"/aws/lambda/{names.function('prediction')}",
        startTime=int((environment.now() - LOOKED_AT).timestamp() * 1000),
        filterPattern=f'"{SAID}"',
    )
    for event in islice(events, MOST_EVENTS):
        entry = json.loads(event["message"])
        yield f"{entry['error']}: {entry['reason']}"
