"""Has an endpoint started that is asleep: the event `endpoint.wanted` starts the machine `release`, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.bus import put_event
from millrace.errors import QueueError
from millrace.messages.events import EndpointWanted
from millrace.names import WorkloadNames
from millrace.state.asleep import Asleep
from millrace.state.table import StateTable


def wake(
    state: StateTable, names: WorkloadNames, *, run: str, cause: str, at: datetime, connect: Callable[[], Any]
) -> bool:
    """Have it started, unless it is not asleep or somebody has asked for it. Returns whether this caller had to.

    `connect` makes boto3's EventBridge client, which all other callers need not wait for. Raises what `put_event`
    raises; then the next one who wants it asks again."""
    if not Asleep.ask(state, at):
        return False
    try:
        event = EndpointWanted(workload=names.workload, run=run, cause=cause, endpoint=names.endpoint)
        put_event(connect(), names.platform, event)
    except (BotoCoreError, ClientError, QueueError):
        Asleep.take_back(state, at)
        raise
    return True
