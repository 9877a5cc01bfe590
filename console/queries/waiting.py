"""Why an answer is not there: drops that wait for a slot or a live model, and predictions that are the fallback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.commands import command
from millrace.console.environment import Environment
from millrace.console.queries.executions import list_executions
from millrace.console.queries.runs import SHORT, list_runs
from millrace.console.queries.versions import find_waiting, state_of
from millrace.console.words import count
from millrace.errors import RunError
from millrace.names import STARTING_QUEUES, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

BRING_MODEL = ("ingest", "train", "release", "retrain")
"""The machines at whose end a first model may go live."""
COUNTERS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)
"""The attributes that count messages: to be received, delayed, and received but not deleted yet.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"""


@dataclass(frozen=True, kw_only=True)
class WaitingDrops:
    """The drops that wait in the workload's queue."""

    names: WorkloadNames
    drops: int
    """At least so many: SQS counts with a delay of a minute, and small drops that wait together are one message."""
    has_model: bool
    """Whether a model is live."""

    @property
    def sentence(self) -> str:
        """For example `at least two drops wait in millrace-local-mine-drops for a free slot: …`."""
        verb = "waits" if self.drops == 1 else "wait"
        # The messages are not read, so their feeds are not known: without a model both reasons are given.
        why = "a free slot" if self.has_model else "a free slot or, of the feed scoring, a live model, and none is yet"
        queue = self.names.queue("drops")
        return f"at least {count(self.drops, 'drop')} {verb} in {queue} for {why}: {tried_again(self.names)}"


def tried_again(names: WorkloadNames) -> str:
    """How often a waiting drop is tried again, and which command shows its run."""
    return (
        "tried again after some 2 seconds, then ever less often, at last about every 5 minutes, and never given up; "
        f"`{command(names, 'runs')}` lists its run once that has started"
    )


def find_waiting_drops(environment: Environment, names: WorkloadNames) -> WaitingDrops | None:
    """The drops that wait; None if none does, or if the queue cannot be read."""
    try:
        return read_waiting(environment, names)
    except ClientError:
        return None


def read_waiting(environment: Environment, names: WorkloadNames) -> WaitingDrops | None:
    """The drops that wait; None if none does. Raises ClientError if the queue cannot be read."""
    sqs = environment.client("sqs")
    drops = queue_length(sqs, sqs.get_queue_url(QueueName=names.queue("drops"))["QueueUrl"])
    if not drops:
        return None
    return WaitingDrops(names=names, drops=drops, has_model=not lacks_model(environment, names))


def lacks_model(environment: Environment, names: WorkloadNames) -> bool:
    """Whether no model is live; False if that cannot be read."""
    try:
        return ReleasePointers(StateTable(environment.client("dynamodb"), names)).champion() is None
    except ClientError:
        return False


def check_model(environment: Environment, names: WorkloadNames) -> None:
    """Raise RunError if no model is live, and no run is on its way to one: a drop to score would wait without end."""
    states = environment.client("stepfunctions")
    if not lacks_model(environment, names) or any(
        list_runs(states, names, machine=machine, status="RUNNING", limit=1) for machine in BRING_MODEL
    ):
        return
    learn = command(names, "drop", "FILE", "--feed", "training", "--wait")
    raise RunError(
        f"{names.workload}: expected a live version, or a run that brings one, got neither: drop rows with labels "
        f"(`{learn}`), or see which gate refused the model (`{command(names, 'versions')}`); nothing was dropped"
    )


def queue_length(sqs: Any, url: str) -> int:
    """The approximate number of messages: SQS counts with a delay of a minute. `sqs` is boto3's client."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTERS)["Attributes"]
    return sum(int(found.get(name, 0)) for name in COUNTERS)


def is_switched_off(environment: Environment, names: WorkloadNames) -> bool:
    """Whether nothing reads a queue whose messages start machines."""
    for queue in STARTING_QUEUES:
        source = {"EventSourceArn": names.queue_arn(queue)}
        found = environment.listed("lambda", "list_event_source_mappings", "EventSourceMappings", **source)
        states = [one["State"] for one in found]
        # Without any mapping the workload is not deployed, which is another matter.
        if states and all(state in {"Disabling", "Disabled"} for state in states):
            return True
    return False


def switched_on_by(names: WorkloadNames) -> str:
    """The command that switches everything on again that the templates want on."""
    return f"cdk deploy --all --revert-drift -c stage={names.platform.stage} -c workloads={names.workload}"


def check_taken(environment: Environment, names: WorkloadNames) -> None:
    """Raise RunError if a drop would start nothing."""
    if is_switched_off(environment, names):
        raise RunError(
            f"{names.workload}: expected drops to be taken, but rules, schedules and the queue of drops are switched "
            f"off, by a teardown or by hand; the way back: {switched_on_by(names)}"
        )


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
