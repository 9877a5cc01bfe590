"""Each hour: what no running execution holds is free, and no challenger is left without a release.

Step Functions delivers the end of an execution to EventBridge as best effort, so the event that lets `cleanup` free a
slot or a lease may never come: https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html"""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger

from functions.sweep.holders import Pass
from millrace.messages.envelope import Event, Message, handles
from millrace.release import challenger, release_alarms
from millrace.settings.environment import Environment
from millrace.state.leases import Leases
from millrace.state.slots import Slots
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, LAMBDA = boto3.client("stepfunctions"), boto3.client("lambda")
SAGEMAKER, CLOUDWATCH = boto3.client("sagemaker"), boto3.client("cloudwatch")
STATE = StateTable(boto3.client("dynamodb"), NAMES)
SLOTS, LEASES = Slots(STATE), Leases(STATE)
LEASE = timedelta(hours=1)
"""Longer than this function may run; a lease that it could not give back is freed by the sweeps after it."""


class Scheduled(Message):
    """Detail of a schedule's call."""

    schedule: str


class Swept(Message):
    """What one sweep found."""

    ended: tuple[str, ...]
    """Executions that had ended and held something; `cleanup` is called for each."""
    freed: tuple[str, ...]
    """Slots and leases of executions that do not exist."""
    deleted: tuple[str, ...]
    """Endpoints and alarms that a release left behind."""


@LOGGER.inject_lambda_context
@handles(Event[Scheduled])
def handler(call: Event[Scheduled]) -> Swept:
    """What was found; a sweep that is repeated finds what is left."""
    found = Pass(states=STATES, held=(SLOTS, LEASES), as_of=call.as_of).find()
    for event in found.ended:
        # Asynchronously: a call that fails is repeated and becomes a dead letter as the event itself would.
        LAMBDA.invoke(FunctionName=NAMES.function("cleanup"), InvocationType="Event", Payload=json.dumps(event))
    swept = Swept(
        ended=tuple(event["detail"]["executionArn"] for event in found.ended),
        freed=found.freed,
        deleted=tuple(delete_leftovers(call, holder=f"sweep {uuid4()}")),
    )
    LOGGER.info("swept", extra=swept.model_dump())
    return swept


def delete_leftovers(call: Event[Scheduled], *, holder: str) -> list[str]:
    """The challenger of a release whose clean-up failed, with the alarms of releases; nothing while a release runs.

    Without a challenger the alarms are not looked for."""
    if LEASES.find("release") is not None or not challenger.stands(SAGEMAKER, NAMES.challenger):
        return []
    # A release that begins now would take over the challenger that is deleted here: it waits for this lease.
    if not LEASES.take("release", holder=holder, as_of=call.as_of, expires_at=call.as_of + LEASE):
        return []
    try:
        return [
            *challenger.delete(SAGEMAKER, NAMES.challenger),
            *release_alarms.delete(CLOUDWATCH, NAMES.prefix),
        ]
    finally:
        LEASES.free(holder)
