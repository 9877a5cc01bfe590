"""What a release that failed leaves behind: a challenger, alarms of its own, a live endpoint without a live version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.deletion import delete_each
from millrace.aws.endpoints import CHANGING, find_endpoint
from millrace.names import WorkloadNames
from millrace.release import release_alarms
from millrace.release.registry import Registry
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers

LEASE = timedelta(hours=1)
"""Longer than a function may run; a lease that could not be given back is freed by the sweeps after it."""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """`sagemaker` and `cloudwatch` are boto3's clients."""

    sagemaker: Any
    cloudwatch: Any
    names: WorkloadNames
    leases: Leases
    pointers: ReleasePointers
    registry: Registry

    def orphan(self) -> str | None:
        """The live endpoint that no version is known to serve, and that may not be deleted; None while a release runs.

        Callers may use it: the item of the release pointers is lost, or a release was stopped just before it wrote
        that item."""
        if self.leases.find("release") is not None or not self._has_no_version():
            return None
        return None if self.registry.was_never_live() else self.names.endpoint

    def delete(self, *, holder: str, as_of: datetime) -> list[str]:
        """What was deleted; nothing while a release runs.

        An endpoint that SageMaker changes stays: it refuses to delete that. `holder` names the caller, for the lease of
        release."""
        if not any(self._find()):
            return []
        # A release that begins now would take over the challenger that is deleted here: it waits for this lease.
        if not self.leases.take("release", holder=holder, as_of=as_of, expires_at=as_of + LEASE):
            return []
        try:
            # Looked for again: a release may have begun and ended since.
            endpoints, alarms = self._find()
            delete = self.sagemaker.delete_endpoint
            deleted = delete_each("endpoint", endpoints, delete, parameter="EndpointName", at_most=len(endpoints))
            release_alarms.delete(self.cloudwatch, alarms)
        finally:
            self.leases.free(holder)
        return [*deleted, *(f"alarm {name}" for name in alarms)]

    def _find(self) -> tuple[list[str], list[str]]:
        """The endpoints, and the alarms."""
        return list(self._endpoints()), release_alarms.find(self.cloudwatch, self.names.prefix)

    def _endpoints(self) -> Iterator[str]:
        if self._is_final(self.names.challenger):
            yield self.names.challenger
        # The first release has made it and has ended before its version was live: nobody calls it. That no version is
        # named is no evidence of that, for the item may be lost.
        if self._has_no_version() and self.registry.was_never_live():
            yield self.names.endpoint

    def _has_no_version(self) -> bool:
        """Whether there is a live endpoint, and the pointers name no version that it could serve."""
        return self.pointers.champion() is None and self._is_final(self.names.endpoint)

    def _is_final(self, endpoint: str) -> bool:
        """Whether there is such an endpoint, and SageMaker does not change it."""
        found = find_endpoint(self.sagemaker, endpoint)
        return found is not None and found["EndpointStatus"] not in CHANGING
