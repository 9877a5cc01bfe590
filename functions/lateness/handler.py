"""Measures each day how old the newest row is, and for how long decisions have waited for labels.

Each age is a metric. If an age is above what is allowed, the event `data.late` is put once a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3

from millrace.aws.metrics import publish
from millrace.contract.load import load_contract
from millrace.datasets.iceberg import newest
from millrace.datasets.tables import Lake
from millrace.decisions.store import stored_days
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import ExecutionInput
from millrace.messages.events import DataLate
from millrace.messages.lateness import Age, Lateness
from millrace.monitoring.lateness import age_of_labels, age_of_rows, labels_wait_since
from millrace.settings.environment import Environment

ROOM = WorkloadRoom(Environment.parse(), __name__)
PREDICTION_SPEC = ROOM.workload.prediction
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
S3 = boto3.client("s3")


@ROOM.handles(ExecutionInput)
def handler(call: ExecutionInput) -> Lateness:
    """The ages for which the contract or `workload.yaml` has a limit. Each is published as a metric.

    An age whose share is above 1 is also put as an event."""
    found = tuple(ages(call.as_of))
    for age in found:
        publish({age.metric: age.share}, Workload=ROOM.names.workload)
        if age.is_late:
            told: dict[str, Any] = {"of": age.of, "newest": age.newest or "none", "allowed_hours": age.allowed_hours}
            ROOM.tell(DataLate, cause=call.cause, owner=LAKE.contract_of(age.of).owner, **told)
    ROOM.logger.info("ages", extra={"ages": [age.model_dump(mode="json") for age in found]})
    return Lateness(ages=found)


def ages(as_of: datetime) -> Iterator[Age]:
    """The age of the rows and that of the labels, each only if it has a limit.

    Rows have no age before the first row has come."""
    agreed, delay = LAKE.contract.freshness, ROOM.workload.monitors.label_delay_hours
    if agreed and (at := newest_of("rows", agreed.column)):
        share = age_of_rows(at, as_of=as_of, hours=agreed.hours)
        yield Age(of="rows", newest=at, allowed_hours=agreed.hours, share=share)
    # If labels lie ahead, a later row brings the label of an earlier one: the newest label may be in either table.
    if delay:
        known = [at for table in PREDICTION_SPEC.label_tables if (at := newest_of(table, PREDICTION_SPEC.event_time))]
        at, days = max(known, default=None), stored_days(S3, ROOM.names.platform.bucket("lake"), ROOM.names.workload)
        since = labels_wait_since(days, at, ahead_hours=PREDICTION_SPEC.horizons[0])
        share = age_of_labels(since, as_of=as_of, hours=delay)
        yield Age(of="labels", newest=at, allowed_hours=delay, share=share)


def newest_of(name: str, column: str) -> datetime | None:
    """The newest time in the column of the table. None without a table or a time."""
    table = LAKE.find(name)
    return newest(table, column) if table else None
