"""How fresh each step from the data to its consumers is: when it was last, and by when the next one is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from pyiceberg.table import Table as IcebergTable

from millrace.aws.objects import entries_below
from millrace.console.environment import Environment
from millrace.console.queries.dead_letters import find_consumers
from millrace.console.queries.executions import Execution
from millrace.console.queries.money.work import sums
from millrace.console.queries.runs import Run
from millrace.console.queries.stored import iceberg_table
from millrace.console.queries.versions import state_of
from millrace.console.words import age
from millrace.consumers.catalogue import queue_of
from millrace.contract.load import load_contract
from millrace.datasets.iceberg import newest
from millrace.datasets.notes import COMPACTED
from millrace.decisions.record import prefix
from millrace.decisions.store import stored_days
from millrace.messages.audit import VersionLive
from millrace.monitoring.lateness import labels_wait_since
from millrace.names import MACHINE_OF_FEED, WorkloadNames
from millrace.operations.alarms import LATE_S
from millrace.state import audit
from millrace.state.cursors import Cursor
from millrace.workload.load import load_workload, workloads_folder

DELIVERED_DAYS = 30
"""A consumer's last delivery is looked for in so many days, by the hour."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step on the way of the data."""

    name: str
    at: datetime | None
    """When it was last; of a window its end. None: never."""
    due: datetime | None = None
    """By when the next one must be. None: nothing declares it."""
    now: datetime

    @property
    def state(self) -> Literal["ok", "late", "never"]:
        return "late" if self.due and self.due < self.now else "ok" if self.at else "never"

    @property
    def age(self) -> str:
        """`3 days`; `never`."""
        return age(self.now - self.at) if self.at else "never"

    @property
    def bound(self) -> str:
        """`due in 5 h`, `late for 3 days`; empty without a bound."""
        if self.due is None:
            return ""
        return f"late for {age(self.now - self.due)}" if self.state == "late" else f"due in {age(self.due - self.now)}"

    @property
    def words(self) -> str:
        return f"{self.name} {self.age}{self.bound and f' ({self.bound})'}"


def find_freshness(environment: Environment, names: WorkloadNames, runs: Sequence[Run | Execution]) -> Iterator[Step]:
    """The steps in the order of the way; of each consumer one. `runs` are the newest of each machine, in any order."""
    step = partial(Step, now=environment.now())
    folder, s3 = workloads_folder() / names.workload, environment.client("s3")
    workload, agreed = load_workload(folder), load_contract(folder).freshness
    spec, monitors = workload.prediction, workload.monitors
    tables = {name: iceberg_table(environment, names, name) for name in ("rows", "labels")}
    row = newest_of([tables["rows"]], agreed.column) if agreed else None
    dropped = max((run.started for run in runs if run.machine in MACHINE_OF_FEED.values()), default=None)
    yield step(name="drop", at=dropped, due=row + timedelta(hours=agreed.hours) if agreed and row else None)
    yield step(name="commit", at=_committed(tables["rows"]))
    trained = (run.stopped for run in runs if run.machine == "train" and run.status == "SUCCEEDED" and run.stopped)
    yield step(name="training", at=max(trained, default=None))
    table, records = names.platform.audit_table, environment.client("dynamodb")
    newest_first = audit.read(records, table=table, workload=names.workload, newest_first=True)
    live = (record.details.live_at for record in newest_first if isinstance(record.details, VersionLive))
    yield step(name="live version", at=next(live, None))
    days = [*stored_days(s3, names.platform.bucket("lake"), names.workload)]
    kept = entries_below(s3, names.platform.bucket("lake"), prefix(names.workload, days[-1])) if days else ()
    yield step(name="decisions", at=max((entry["LastModified"] for entry in kept), default=None))
    window = Cursor.end(state_of(environment, names), "monitor")
    # When the next window is over, the end of this one is one window ago; the schedule may take as long again.
    yield step(name="monitor window", at=window, due=window and window + timedelta(days=2 * monitors.window_days))
    label = newest_of([tables[name] for name in spec.label_tables], spec.event_time)
    since = labels_wait_since(days, label, ahead_hours=spec.horizons[0]) if monitors.label_delay_hours else None
    due = since and since + timedelta(hours=monitors.label_delay_hours or 0)
    yield step(name="labels", at=_committed(tables["labels"]), due=due)
    for one in find_consumers(environment, names):
        at = _delivered(environment, names.queue(queue_of(one.consumer)))
        due = at + timedelta(hours=1, seconds=LATE_S) if at and one.waiting else None
        yield step(name=f"to {one.consumer}", at=at, due=due)


def newest_of(tables: Iterable[IcebergTable | None], column: str) -> datetime | None:
    """The newest time in the column of the tables."""
    return max((at for table in tables if table and (at := newest(table, column))), default=None)


def _committed(table: IcebergTable | None) -> datetime | None:
    """When rows last came or left. Files that were put together are no news."""
    snapshots = table.snapshots() if table else []
    moved = [one.timestamp_ms for one in snapshots if one.summary and not one.summary.get(COMPACTED)]
    return datetime.fromtimestamp(max(moved) / 1000, UTC) if moved else None


def _delivered(environment: Environment, queue: str) -> datetime | None:
    """The hour in which a message was last deleted from the queue; None if none was in DELIVERED_DAYS.

    A function deletes what its target has taken. What a pause holds is sent anew, which deletes the message before."""
    span = environment.now() - timedelta(days=DELIVERED_DAYS), environment.now()
    named = {"Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesDeleted", "Period": 3600}
    found = sums(environment, span, **named, Dimensions=[{"Name": "QueueName", "Value": queue}])
    return max((at for at, deleted in found.items() if deleted), default=None)
