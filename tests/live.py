"""A local cloud in which a version of one workload is live: its drops, its decisions and its time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.decisions.record import Decision
from millrace.decisions.store import read_days, stored_days
from millrace.names import WorkloadNames
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable

REST_S = 900.0
"""Only a cloud that never rests reaches it: a busy machine may take minutes."""


@dataclass(frozen=True, kw_only=True)
class Live(LocalCloud):
    """A cloud, and the names of the workload that is looked at."""

    names: WorkloadNames

    @property
    def state(self) -> StateTable:
        return StateTable(self.client("dynamodb"), self.names)

    def champion(self) -> Version:
        found = ReleasePointers(self.state).champion()
        assert found is not None
        return found

    def put(self, name: str, rows: pa.Table) -> None:
        """Put the rows below the workload's folder as `<name>.parquet`."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{name}.parquet"
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=sink.getvalue().to_pybytes())

    def drop(self, name: str, rows: pa.Table) -> None:
        """Put the rows, and wait until all has ended that follows."""
        self.put(name, rows)
        self.rest()

    def ask(self, call: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the prediction function answers to a request with this id."""
        payload = json.dumps({"id": call, "rows": rows})
        answer = self.client("lambda").invoke(FunctionName=self.names.prediction, Payload=payload)
        return list(json.load(answer["Payload"])["predictions"])

    def recorded(self) -> tuple[Decision, ...]:
        """All decisions that are in the lake."""
        s3, lake = self.client("s3"), self.names.platform.bucket("lake")
        return read_days(s3, lake, self.names.workload, list(stored_days(s3, lake, self.names.workload))).decisions

    def raised(self) -> set[str]:
        """The alarms that are raised; those of the workload without its name."""
        pages = self.client("cloudwatch").get_paginator("describe_alarms").paginate(StateValue="ALARM")
        names = {one["AlarmName"] for page in pages for one in (*page["MetricAlarms"], *page["CompositeAlarms"])}
        return {one.removeprefix(self.names.alarm("")) for one in names}

    def rest(self) -> None:
        self.wait(timeout_s=REST_S)

    def go_to(self, to: datetime) -> None:
        """Move the clock when the cloud is at rest, and wait until all has ended that is due by then."""
        self.rest()
        self.move_clock(to)
        self.rest()

    def later(self, **by: float) -> None:
        self.go_to(self.now() + timedelta(**by))
