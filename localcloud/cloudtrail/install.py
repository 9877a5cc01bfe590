"""AWS CloudTrail: the event history says who started an execution, a trail who read which object.

AWS does: keep every management event for 90 days, with the caller that the signature proves. LookupEvents shows an
    event some minutes after its call, at most 15. A trail delivers the events that it selects into a bucket.
moto does: keep trails, which deliver nothing. It refuses LookupEvents.
We do: keep the event of each StartExecution, whoever called: a person, a rule or a machine. Deliver each GetObject that
    a trail selects, if the policies of bucket and key let CloudTrail write.
Weaker: no other operation is kept, and an event is there at once. A trail has advanced selectors of GetObject alone,
    records no read that was refused, and signs no digests of its files.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from localcloud.cloudtrail.trails import deliver_reads, event_record
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

# Keeps the events of StartExecution as CloudTrail records them, and answers LookupEvents from them.

KEPT = timedelta(days=quota("cloudtrail", "age"))
"""How long the event history goes back."""
PAGE = 50
"""The most events of one answer: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html"""
NAME, SOURCE = "StartExecution", "states.amazonaws.com"
_ATTRIBUTES = {"EventName": NAME, "EventSource": SOURCE, "ReadOnly": "false"}
"""What a lookup may ask for, and the value that the kept events have."""


def keep_history(*, now: Callable[[], datetime]) -> None:
    """Keep each start, and answer LookupEvents. May go when moto does both."""
    states = import_module("moto.stepfunctions.responses").StepFunctionResponse
    start, kept = states.start_execution, deque[dict[str, Any]]()

    def start_execution(self: Any) -> Any:
        # Only a start that succeeded: one that was refused has started nothing.
        answer = start(self)
        while kept and kept[0]["EventTime"] < (now() - KEPT).timestamp():
            kept.popleft()
        kept.append(_event(self, json.loads(self.body), answer.result))
        return answer

    def lookup_events(self: Any) -> str:
        asked = json.loads(self.body)
        for attribute in asked.get("LookupAttributes", []):
            if attribute["AttributeKey"] not in _ATTRIBUTES:
                raise NotImplementedError(f"cloudtrail: expected a lookup by {list(_ATTRIBUTES)}, got {attribute}")
        wanted = {one["AttributeKey"]: one["AttributeValue"] for one in asked.get("LookupAttributes", [])}
        since, until = (asked.get("StartTime") or 0.0), (asked.get("EndTime") or now().timestamp())
        # The newest first, as AWS lists them.
        found = [
            event
            for event in reversed(kept)
            if wanted.items() <= _ATTRIBUTES.items() and since <= event["EventTime"] <= until
        ]
        first = int(asked.get("NextToken") or 0)
        end = first + min(asked.get("MaxResults") or PAGE, PAGE)
        return json.dumps({"Events": found[first:end], **({"NextToken": str(end)} if end < len(found) else {})})

    replace(states, start_execution=start_execution)
    replace(import_module("moto.cloudtrail.responses").CloudTrailResponse, lookup_events=lookup_events)


def _event(call: Any, given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The event of a start, as LookupEvents lists it. CloudTrail hides the input."""
    asked, at = {**given, "input": "HIDDEN_DUE_TO_SECURITY_REASONS"}, answer["startDate"].astimezone(UTC)
    record = event_record(call, SOURCE, NAME, at=at, asked=asked) | {
        "responseElements": {
            "executionArn": answer["executionArn"],
            "startDate": at.strftime("%b %d, %Y, %I:%M:%S %p"),
        },
        "readOnly": False,
        "managementEvent": True,
    }
    return {
        "EventId": record["eventID"],
        "EventName": NAME,
        "ReadOnly": "false",
        "EventTime": at.replace(microsecond=0).timestamp(),
        "EventSource": SOURCE,
        "Username": record["userIdentity"]["arn"].rpartition("/")[2],
        "Resources": [],
        "CloudTrailEvent": json.dumps(record),
    }


def install(cloud: Cloud) -> None:
    keep_history(now=cloud.clock.now)
    deliver_reads(cloud)
