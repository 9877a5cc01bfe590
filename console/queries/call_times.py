"""How quickly a version answered by HTTP in its preflight, and what a thousand answers cost at that pace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from millrace.aws.objects import entries_below, read_object, split_uri
from millrace.names import WorkloadNames
from millrace.workload.prices import usd_per_hour


@dataclass(frozen=True, kw_only=True)
class CallTimes:
    """Times of one row by HTTP, one request after another, on one instance type."""

    instance: str
    p50_ms: float
    p99_ms: float

    @property
    def usd_per_1000(self) -> float:
        """US dollars for a thousand answers one after another. The instance is never idle, so it is a lower bound."""
        # 1,000 answers take p50_ms seconds, and an hour has 3,600.
        return usd_per_hour(self.instance) * self.p50_ms / 3600


def read_call_times(s3: Any, names: WorkloadNames, run: str) -> tuple[CallTimes, ...]:
    """The times on each instance type on which the version passed; `run` is its train execution."""
    bucket, prefix = split_uri(names.run_uri(run, "preflight", ""))
    records = [
        json.loads(read_object(s3, f"s3://{bucket}/{each['Key']}")) for each in entries_below(s3, bucket, prefix)
    ]
    return tuple(
        CallTimes(instance=record["instance"], p50_ms=record["p50_ms"], p99_ms=record["p99_ms"]) for record in records
    )
