"""The kinds of consumers. Add a kind: one file with its class and one line in `Kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from millrace.consumers.consumer import Consumed
from millrace.consumers.next_workload import NextWorkload
from millrace.consumers.postgres import Postgres
from millrace.consumers.targets import EventBus, ItemTable, Mail, Queue
from millrace.consumers.webhook import Webhook
from millrace.workload.policy import Policy

Kind = Queue | EventBus | Mail | Webhook | ItemTable | Postgres | NextWorkload
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=16)]
"""The name of a consumer. A role's name has it at its end, and 64 characters in all."""
Consumers = Annotated[dict[Name, Annotated[Kind, Field(discriminator="to")]], Field(max_length=10)]
"""The consumers of a workload by name. One alarm reads the dead letters of all; CloudWatch lets it read ten queues."""


def queue_of(name: str) -> str:
    """The name of the consumer's own queue, and of its function, as `WorkloadNames` takes them."""
    return f"consumer-{name}"


def of_stage(consumers: Mapping[str, Kind], stage: str, wanting: Consumed | None = None) -> dict[str, Kind]:
    """The consumers that the stage has; of them those that want this, if it is given."""
    here = {name: one for name, one in consumers.items() if not one.stages or stage in one.stages}
    return {name: one for name, one in here.items() if wanting in (None, *one.actions)}


def hearing(consumers: Mapping[str, Kind], stage: str, policy: Policy | None) -> dict[str, Kind]:
    """The consumers that the stage has and that get what people answer; none without a policy that asks people."""
    return of_stage(consumers, stage, "answered") if policy else {}
