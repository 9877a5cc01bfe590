"""Cleans up after an execution that has ended in any way: frees what it held.

After a failed release it also writes an audit record, deletes the release's leftovers, and has the live version
restored if the endpoint does not serve it."""

from __future__ import annotations

import json
from uuid import uuid4

import boto3

from millrace.functions.room import Room
from millrace.messages.audit import AuditEvent, ReleaseFailed
from millrace.messages.envelope import Event, Message
from millrace.messages.execution import ExecutionEnded
from millrace.messages.teardown import TEARDOWN_ERROR
from millrace.names import MACHINE_OF_FEED
from millrace.release.leftovers import Leftovers, Restoration, is_restoration
from millrace.settings.environment import Environment
from millrace.state.climbing import Climbing
from millrace.state.holdings import Slots, pool_of

ROOM = Room(Environment.parse(), __name__)
SAGEMAKER = boto3.client("sagemaker")
SLOTS = Slots(ROOM.state)
RESTORATION = Restoration(
    sagemaker=SAGEMAKER,
    scaling=boto3.client("application-autoscaling"),
    states=boto3.client("stepfunctions"),
    names=ROOM.names,
)
LEFTOVERS = Leftovers(sagemaker=SAGEMAKER, cloudwatch=boto3.client("cloudwatch"), names=ROOM.names, state=ROOM.state)
OF_DROPS = {ROOM.names.machine_arn(machine): machine for machine in MACHINE_OF_FEED.values()}
"""The machines that drops start, by their ARN."""


class Freed(Message):
    """The answer: what was freed, deleted and started."""

    freed: tuple[str, ...]
    """Keys such as `slots#ingest-labels` and `lease#release`; then `endpoint …`, `alarm …` and `execution …`."""


@ROOM.handles(Event[ExecutionEnded])
def handler(call: Event[ExecutionEnded]) -> Freed:
    """What was freed. The event may come twice; a second call finds nothing to do."""
    ended = call.detail
    freed = free(ended)
    if ended.machine == ROOM.names.machine_arn("release") and ended.status != "SUCCEEDED":
        freed += clean_up(call)
    ROOM.logger.info("freed", extra={"execution": ended.execution_arn, "status": ended.status, "freed": freed})
    return Freed(freed=tuple(freed))


def free(ended: ExecutionEnded) -> list[str]:
    """Free what the execution held, and return the keys.

    An execution that a drop started has a slot and no lease. Any other execution has leases and no slot."""
    machine = OF_DROPS.get(ended.machine)
    if machine is None:
        if ended.machine == ROOM.names.machine_arn("release"):
            Climbing.remove(ROOM.state, ended.execution_arn)
            ROOM.pointers.end_canary(ended.execution_arn)
        return ROOM.leases.free(ended.execution_arn)
    # Most drops are small, and have a slot of those that go together.
    feed = json.loads(ended.input or "{}").get("detail", {}).get("feed", "")
    return SLOTS.free(ended.execution_arn, likely=pool_of(machine, feed, is_together=True))


def clean_up(call: Event[ExecutionEnded]) -> list[str]:
    """Record how the release failed, delete its leftovers, and have the live version restored. Returns what was done.

    Nothing is deleted if another release has begun since. Nothing is restored after a teardown, nor if the release that
    failed was itself a restoration: they would follow each other for ever. The sweep starts one a day."""
    ended = call.detail
    failure = ReleaseFailed.model_validate(
        {"status": ended.status, "error": ended.error, "cause": ended.reason, "input": ended.input}
    )
    ROOM.record(AuditEvent.RELEASE_FAILED, failure, by=ended.execution_arn, as_of=call.as_of, cause=call.cause)
    holder = f"cleanup {uuid4()}"
    if ended.error == TEARDOWN_ERROR:
        return LEFTOVERS.delete(holder=holder, as_of=call.as_of)
    try:
        deleted = LEFTOVERS.delete(holder=holder, as_of=call.as_of)
    finally:
        # Even if something could not be deleted: the sweep deletes it later, and the live version must not wait.
        started, cause = [], ended.execution_arn
        if not is_restoration(ended.input):
            champion = ROOM.pointers.champion()
            started = RESTORATION.restore(champion, who="cleanup", cause=cause, key=cause, as_of=call.as_of)
    return deleted + started
