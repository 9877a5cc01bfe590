"""The leftovers of a release that failed: a challenger, the release's alarms, a live endpoint without a live version.

`cleanup` deletes them when the release has ended, and the sweep deletes what `cleanup` could not:

1. Look. Without leftovers nothing else happens.
2. Take the lease `release`. If a release has it, stop. A release that begins later waits for it.
3. Look again, delete, and free the lease."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.deletion import delete_each
from millrace.aws.endpoints import CHANGING, find_endpoint
from millrace.names import WorkloadNames
from millrace.release.registry import Registry
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

OF_A_RELEASE = re.compile(r"v\d+-\w+-\d+-\d+-live-(errors|latency)")
"""The names of these alarms, without the workload's prefix: `v2-1f0e4a-0-0-live-errors`.

They have the name of the live endpoint configuration and what is watched."""
MOST = 100
"""The most alarms in one call of DeleteAlarms."""
LEASE = timedelta(hours=1)
"""For how long the lease is taken: longer than a function may run. If it is not given back, later sweeps free it."""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Finds and deletes the leftovers. `sagemaker` and `cloudwatch` are boto3's clients."""

    sagemaker: Any
    cloudwatch: Any
    names: WorkloadNames
    state: StateTable

    def orphan(self) -> str | None:
        """The live endpoint, if the release pointers name no version and it may not be deleted. Else None.

        Its callers may still use it: the item of the pointers is lost, or a release was stopped just before it wrote
        the item. None while a release runs."""
        if Leases(self.state).find("release") is not None or not self._has_no_version():
            return None
        return None if self._was_never_live() else self.names.endpoint

    def delete(self, *, holder: str, as_of: datetime) -> list[str]:
        """Delete the leftovers and return what was deleted. Nothing is deleted while a release runs.

        An endpoint that SageMaker is changing stays, since SageMaker refuses to delete it. `holder` names the caller in
        the lease `release`."""
        if not any(self._find()):
            return []
        leases = Leases(self.state)
        # A release that begins now would use the challenger that is deleted here, so it must wait for the lease.
        if not leases.take("release", holder=holder, as_of=as_of, expires_at=as_of + LEASE):
            return []
        try:
            # Look again under the lease: a release may have begun and ended since.
            endpoints, alarms = self._find()
            delete = self.sagemaker.delete_endpoint
            deleted = delete_each("endpoint", endpoints, delete, parameter="EndpointName", at_most=len(endpoints))
            if alarms:
                self.cloudwatch.delete_alarms(AlarmNames=alarms)
        finally:
            leases.free(holder)
        return [*deleted, *(f"alarm {name}" for name in alarms)]

    def _find(self) -> tuple[list[str], list[str]]:
        """The names of the endpoints and of the alarms that are left."""
        return list(self._endpoints()), self._alarms()

    def _endpoints(self) -> Iterator[str]:
        if self._is_final(self.names.challenger):
            yield self.names.challenger
        # The first release has made the live endpoint and has ended before its version was live: nobody calls it. That
        # the pointers name no version does not prove this, since their item may be lost. The registry proves it.
        if self._has_no_version() and self._was_never_live():
            yield self.names.endpoint

    def _alarms(self) -> list[str]:
        """Those that a release made for the time of its rollout, at most as many as one call deletes."""
        # A prefix alone could find the alarms of another workload, hence OF_A_RELEASE.
        prefix = self.names.prefix
        pages = self.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=f"{prefix}-v", AlarmTypes=["MetricAlarm"]
        )
        found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
        return [name for name in found if OF_A_RELEASE.fullmatch(name.removeprefix(f"{prefix}-"))][:MOST]

    def _has_no_version(self) -> bool:
        """Whether there is a live endpoint, not being changed, while the pointers name no live version."""
        return ReleasePointers(self.state).champion() is None and self._is_final(self.names.endpoint)

    def _was_never_live(self) -> bool:
        return Registry(self.sagemaker, group=self.names.package_group).was_never_live()

    def _is_final(self, endpoint: str) -> bool:
        """Whether the endpoint exists and SageMaker is not changing it."""
        found = find_endpoint(self.sagemaker, endpoint)
        return found is not None and found["EndpointStatus"] not in CHANGING
