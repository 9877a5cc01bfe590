"""Who started an execution, by the identity that signed the call: CloudTrail records it, no input can say another.

Step Functions tells nobody who started an execution. CloudTrail's event history has each StartExecution for 90 days:

    {"eventName": "StartExecution", "userIdentity": {"arn": "arn:aws:sts::…:assumed-role/leads/ann", …},
     "responseElements": {"executionArn": "arn:aws:states:…:execution:millrace-prod-electricity-train:7c1b2f0e", …}, …}

An event is found some minutes after the call, at most 15:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.aws.errors import has_code, passed_over
from millrace.errors import AskerUnknownError
from millrace.names import WorkloadNames

NOBODY = "nobody"
"""In place of an identity: no person asked, a rule, a schedule or a function did."""
UNKNOWN = "unknown"
"""In place of an identity: CloudTrail does not say. It may be anybody."""
STARTED_BY = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"
"""The key of an input with the ARN of the execution that started this one."""
RECORDED = timedelta(minutes=20)
"""So long after a start CloudTrail has its event, or has none."""
AROUND = timedelta(seconds=10)
"""The event of a start has its time, but for so much."""


class Askers:
    """Who started executions of a workload. `states` and `trail` are boto3's clients of Step Functions, CloudTrail."""

    def __init__(self, names: WorkloadNames, *, states: Any, trail: Any) -> None:
        self._states, self._trail = states, trail
        self._own_roles = names.sessions

    def find(self, execution_arn: str) -> str:
        """The ARN of the person who started the execution, or the one that it belongs to; else NOBODY or UNKNOWN.

        Raises AskerUnknownError if CloudTrail has no event yet and may still get one."""
        described = self._states.describe_execution(executionArn=execution_arn)
        caller = ""
        # An account may look up twice a second:
        # https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
        with passed_over(has_code("ThrottlingException")):
            caller = next(self._callers(execution_arn, described["startDate"]), "")
        if not caller and datetime.now(UTC) - described["startDate"] < RECORDED:
            raise AskerUnknownError(f"{execution_arn}: expected CloudTrail to know who started it, it does not yet")
        if not caller.startswith(self._own_roles):
            return caller or UNKNOWN
        # Only our own machines are believed: a person may write any execution's ARN into an input.
        parent = json.loads(described["input"]).get(STARTED_BY)
        return self.find(parent) if parent else NOBODY

    def _callers(self, execution_arn: str, started: datetime) -> Iterator[str]:
        pages = self._trail.get_paginator("lookup_events").paginate(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StartExecution"}],
            StartTime=started - AROUND,
            EndTime=started + AROUND,
        )
        for event in (json.loads(one["CloudTrailEvent"]) for page in pages for one in page["Events"]):
            if (event.get("responseElements") or {}).get("executionArn") == execution_arn:
                yield str(event["userIdentity"].get("arn") or "")
