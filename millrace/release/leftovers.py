"""The leftovers of a release that failed: a challenger, the release's alarms, a live endpoint without a live version.

`cleanup` deletes them when the release has ended, and the sweep deletes what `cleanup` could not:

1. Look. Without leftovers nothing else happens.
2. Take the lease `release`. If a release has it, stop. A release that begins later waits for it.
3. Look again, delete, and free the lease.

If the endpoint does not serve what the pointers name, as after a failed release, the live version is restored:

    release of version 3 fails    the endpoint serves version 3, or is changing; the pointers name version 2
    cleanup                       starts a release: {"rollback": {"to": "2", "restores": true, "who": "cleanup", …}}
    that release                  waits for the end of any change, and makes the endpoint serve version 2 again
    it fails too                  the sweep starts another one, once a day
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.deletion import delete_each
from millrace.aws.endpoints import CHANGING, find_endpoint, served_model
from millrace.messages.release import Rollback
from millrace.names import VARIANT, WorkloadNames
from millrace.release.registry import Registry
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.timestamps import format_utc

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


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Starts a restoration. `sagemaker`, `scaling` and `states` are boto3's clients."""

    sagemaker: Any
    scaling: Any
    states: Any
    names: WorkloadNames

    def restore(self, champion: Version | None, *, who: str, cause: str, key: str, as_of: datetime) -> list[str]:
        """Start a release that restores the champion, if that is needed. Returns what was started.

        It is not needed if the endpoint serves the champion and is scaled, if there is no endpoint, or if there is no
        champion. One execution is started for each `key`, so that an event that comes twice starts one."""
        served = served_model(self.sagemaker, self.names.endpoint)
        if served == "" or champion is None or (served == champion.model_name and self._is_scaled()):
            return []
        # The endpoint is still changing, or serves a version that was never promoted, or an update that failed has cost
        # it its scaling. SageMaker cannot stop an update, so the machine waits for its end, and for a release that has
        # begun since. If the live version is back by then, it only has to be scaled and watched again.
        name = f"restore-{hashlib.sha256(key.encode()).hexdigest()[:40]}"
        rollback = Rollback(
            reason=f"{cause}: the endpoint does not serve version {champion.version}, or is not scaled",
            who=who,
            to=champion.version,
            restores=True,
        )
        document = {"cause": cause, "as_of": format_utc(as_of), "rollback": rollback.model_dump()}
        try:
            self.states.start_execution(
                stateMachineArn=self.names.machine_arn("release"),
                name=name,
                input=json.dumps(document, sort_keys=True),
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            return []
        return [f"execution {name}"]

    def _is_scaled(self) -> bool:
        """Whether Auto Scaling scales the live endpoint."""
        resource = f"endpoint/{self.names.endpoint}/variant/{VARIANT}"
        found = self.scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        return bool(found["ScalableTargets"])


def is_restoration(given: str | None) -> bool:
    """Whether the input is that of a restoration."""
    try:
        document = json.loads(given or "{}")
    except RecursionError:  # whoever starts an execution may nest its input as deep as they like
        return False
    rollback = document.get("rollback") if isinstance(document, dict) else None
    return isinstance(rollback, dict) and rollback.get("restores") is True
