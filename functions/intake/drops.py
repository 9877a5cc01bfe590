"""A drop: S3's event as EventBridge delivers it in a queue message, and the execution that it starts exactly once.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from millrace.errors import ConflictError
from millrace.names import MACHINE_OF_FEED, WorkloadNames, execution_of_drop
from millrace.state.slots import Slots


class IntakeError(ValueError):
    """The message is no drop of this workload: more deliveries would not change that."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Bucket(_Part):
    name: str


class _Object(_Part):
    key: str
    size: int = 0
    version_id: str = Field(default="", alias="version-id")
    sequencer: str = ""


class _Detail(_Part):
    bucket: _Bucket
    object: _Object


class _Event(_Part):
    id: str
    time: datetime
    source: Literal["aws.s3"]
    kind: Literal["Object Created"] = Field(alias="detail-type")
    detail: _Detail


@dataclass(frozen=True, kw_only=True)
class Start:
    """One execution to be started."""

    machine: Literal["ingest", "score"]
    name: str
    """SHA-256 of bucket, key and version: whoever tells of this version, it is one execution."""
    input: str
    """JSON."""


def start_of(body: str, names: WorkloadNames) -> Start:
    """What the message asks for; raises IntakeError that says what was expected and what came.

    The input holds the event's id and time: EventBridge delivers the same event with both unchanged, so a
    redelivery has the same bytes. Another event about the same version has the same name only."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(message)"
        raise IntakeError(f"{field}: {first['msg']}, came {str(first['input'])[:200]}") from None
    bucket, item = event.detail.bucket.name, event.detail.object
    feed = _feed(bucket, item.key, names)
    detail = {
        "workload": names.workload,
        "feed": feed,
        "objects": [
            {
                "bucket": bucket,
                "key": item.key,
                "version_id": item.version_id,
                "size": item.size,
                "sequencer": item.sequencer,
            }
        ],
    }
    document = {"cause": event.id, "as_of": event.time.isoformat().replace("+00:00", "Z"), "detail": detail}
    name = execution_of_drop(bucket, item.key, item.version_id)
    return Start(machine=MACHINE_OF_FEED[feed], name=name, input=json.dumps(document, sort_keys=True))


def _feed(bucket: str, key: str, names: WorkloadNames) -> str:
    landing = names.platform.bucket("landing")
    workload, _, rest = key.partition("/")
    feed, _, name = rest.partition("/")
    if bucket != landing or workload != names.workload or feed not in MACHINE_OF_FEED or not name:
        expected = f"s3://{landing}/{names.workload}/<{'|'.join(MACHINE_OF_FEED)}>/<name>"
        raise IntakeError(f"detail.object.key: expected {expected}, came s3://{bucket}/{key}")
    return feed


def start(states: Any, slots: Slots, names: WorkloadNames, wanted: Start, *, limit: int) -> bool:
    """Whether an execution was started or runs already; False when the object had its execution before.

    `states` is boto3's Step Functions client. Raises ConflictError when every slot is taken: the message comes
    again. The function `cleanup` frees a slot when its execution ends."""
    holder = names.execution_arn(wanted.machine, wanted.name)
    if not slots.take(wanted.machine, holder=holder, limit=limit):
        raise ConflictError(f"{names.machine(wanted.machine)}: expected a free slot of {limit}, all are taken")
    try:
        states.start_execution(stateMachineArn=names.machine_arn(wanted.machine), name=wanted.name, input=wanted.input)
    except states.exceptions.ExecutionAlreadyExists:
        if _runs(states, holder):
            return True
        slots.free(wanted.machine, holder)
        return False
    except (BotoCoreError, ClientError):
        slots.free(wanted.machine, holder)
        raise
    return True


def _runs(states: Any, execution: str) -> bool:
    """Whether it runs still; the slot of one that has ended was freed, and must be again."""
    return states.describe_execution(executionArn=execution)["status"] in ("RUNNING", "PENDING_REDRIVE")
