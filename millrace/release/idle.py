"""Stops a live endpoint that nobody asks, and notes when it serves again.

    06:12  the last request
    14:50  a sweep finds none for `stop_after_hours: 8`: the endpoint goes; its configuration and its model stay
    20:13  a request finds it asleep: the event `endpoint.wanted` starts the machine `release`, once
    20:19  the endpoint serves by the same configuration

SageMaker takes all instances from an endpoint of inference components alone. Its requests then fail for as many minutes
as they do here, so a second kind of endpoint would bring callers nothing:
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from millrace.aws.endpoints import find_endpoint, requests_by_time
from millrace.messages.audit import AuditEvent, EndpointStarted, EndpointStopped
from millrace.names import VARIANT, WorkloadNames
from millrace.release.leftovers import LEASE
from millrace.state.asleep import Asleep
from millrace.state.audit import Record, append
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

START_SCHEDULE = "start-endpoint"
"""The schedule by which an endpoint starts that is asleep."""
LATE = timedelta(days=1)
"""Longer than a sweep may begin after its time: requests that came since count too."""


@dataclass(frozen=True, kw_only=True)
class Sleep:
    """The sleep of one workload's live endpoint. `sagemaker` and `dynamodb` are boto3's clients.

    `function` is the name of the function that acts, for the audit."""

    sagemaker: Any
    dynamodb: Any
    names: WorkloadNames
    state: StateTable
    function: str

    def end(self, *, cause: str, as_of: datetime) -> bool:
        """Note that a stopped endpoint serves again, in the audit too. Returns whether it does."""
        asleep = Asleep.find(self.state)
        serving = self._in_service() if asleep else None
        # An endpoint that is older than its sleep is just being stopped.
        if asleep is None or serving is None or serving["CreationTime"] < asleep.since:
            return False
        details = EndpointStarted(
            version=asleep.version,
            instance=asleep.instance,
            instances=asleep.instances,
            stopped_at=asleep.since,
            asked_at=asleep.asked,
            started_at=serving["CreationTime"],
        )
        self._record(AuditEvent.ENDPOINT_STARTED, details, cause=cause, as_of=as_of)
        asleep.remove(self.state)
        return True

    def begin(self, cloudwatch: Any, scaling: Any, *, hours: int, cause: str, as_of: datetime) -> bool:
        """Stop the endpoint if it has had no request for so many hours. Returns whether it was stopped.

        Nothing is stopped while a release runs, or before the endpoint was made or changed so long ago. `cloudwatch`
        and `scaling` are boto3's clients."""
        serving = self._in_service()
        if serving is None or serving["LastModifiedTime"] > as_of - timedelta(hours=hours):
            return False
        # All requests come from callers: a release sends its own to the challenger.
        began = as_of - timedelta(hours=hours)
        if any(requests_by_time(cloudwatch, self.names.endpoint, start=began, end=as_of + LATE).values()):
            if interrupted := Asleep.find(self.state):  # between the item and the deletion
                interrupted.remove(self.state)
            return False
        leases, holder = Leases(self.state), f"{self.function} {uuid4()}"
        # A release that begins now would update the endpoint that is deleted here, so it must wait for the lease.
        if not leases.take("release", holder=holder, as_of=as_of, expires_at=as_of + LEASE):
            return False
        try:
            return self._stop(scaling, cause, as_of)
        finally:
            leases.free(holder)

    def _stop(self, scaling: Any, cause: str, as_of: datetime) -> bool:
        serving, champion = self._in_service(), ReleasePointers(self.state).champion()
        if serving is None or champion is None:
            return False
        config = serving["EndpointConfigName"]
        variant = self.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
        if variant["ModelName"] != champion.model_name:
            return False  # `cleanup` has the live version restored
        instances = serving["ProductionVariants"][0]["CurrentInstanceCount"]
        given = {"version": champion.version, "instance": variant["InstanceType"], "instances": instances}
        # First the item: whoever asks from now on finds the endpoint asleep.
        Asleep(**given, config=config, since=as_of).put(self.state)
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{self.names.endpoint}/variant/{VARIANT}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        self.sagemaker.delete_endpoint(EndpointName=self.names.endpoint)
        # AWS does it itself: https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-delete-with-scaling.html
        with suppress(scaling.exceptions.ObjectNotFoundException):
            scaling.deregister_scalable_target(**target)
        details = EndpointStopped(**given, stopped_at=as_of)
        self._record(AuditEvent.ENDPOINT_STOPPED, details, cause=cause, as_of=as_of)
        return True

    def _in_service(self) -> dict[str, Any] | None:
        found = find_endpoint(self.sagemaker, self.names.endpoint)
        return found if found and found["EndpointStatus"] == "InService" else None

    def _record(self, event: AuditEvent, details: EndpointStopped, *, cause: str, as_of: datetime) -> None:
        record = Record(
            actor=self.function,
            execution_arn=self.names.function_arn(self.function),
            event=event,
            as_of=as_of,
            cause=cause,
            details=details,
        )
        append(self.dynamodb, table=self.names.platform.audit_table, workload=self.names.workload, record=record)
