"""How quickly a version answered in its preflight, by HTTP, and what a thousand answers cost at that pace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from millrace.aws.objects import entries_below, read_object, split_uri
from millrace.names import WorkloadNames
from millrace.workload.prices import usd_per_hour


@dataclass(frozen=True, kw_only=True)
class CallTimes:
    """Of one row by HTTP, request after request, on one instance type."""

    instance: str
    p50_ms: float
    p99_ms: float

    @property
    def usd_per_1000(self) -> float:
        """Answers one after another on an instance that does nothing else: at best, where it is never idle."""
        return usd_per_hour(self.instance) * self.p50_ms / 3600


def read_call_times(s3: Any, names: WorkloadNames, run: str) -> tuple[CallTimes, ...]:
    """For each instance type on which the version of this train execution has passed; records of former preflights,
    which timed nothing, are left out."""
    bucket, prefix = split_uri(names.run_uri(run, "preflight", ""))
    records = [
        json.loads(read_object(s3, f"s3://{bucket}/{each['Key']}")) for each in entries_below(s3, bucket, prefix)
    ]
    return tuple(
        CallTimes(instance=record["instance"], p50_ms=record["p50_ms"], p99_ms=record["p99_ms"])
        for record in records
        if "p50_ms" in record
    )
