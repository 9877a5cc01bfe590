"""Throttles calls on demand: the next calls of an operation, as many as a test says, get the service's own refusal.

Nothing here throttles by itself, and AWS throttles when it likes, so a test says which calls. Only calls with a role's
keys are refused: those of functions, machines, jobs and rules. Calls with the operator's keys pass."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from localcloud.kernel.calls import Call, Refusal, error_answer
from localcloud.kernel.control import ROLE_KEYS, json_answer

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

ERRORS = {
    "cloudwatch": ("Throttling", "Rate exceeded"),
    "dynamodb": ("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the "
                 "table was exceeded. Consider increasing your provisioning level with the UpdateTable API."),
    "lambda": ("TooManyRequestsException", "Rate Exceeded."),
    "s3": ("SlowDown", "Please reduce your request rate."),
    "sns": ("Throttling", "Rate exceeded"),
    "sqs": ("RequestThrottled", "The request was denied due to request throttling."),
    "sts": ("Throttling", "Rate exceeded"),
}  # fmt: skip
"""Error code and message, by botocore's name of the service.

https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
OTHERS = ("ThrottlingException", "Rate exceeded")
"""Error code and message of all other services.

https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html"""


@dataclass(kw_only=True)
class Throttles:
    """How many calls are still to be refused, and how many were."""

    left: dict[str, int] = field(default_factory=dict)
    """The number of calls still to be refused, by pattern of an operation: `{"sagemaker:Create*": 3}`."""
    refused: Counter[str] = field(default_factory=Counter)
    """The number of refused calls by operation: `{"sagemaker:CreateTrainingJob": 2}`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def throttle(self, calls: Mapping[str, int]) -> None:
        """Refuse, for each pattern, the next calls, as many as its number says. An earlier burst ends."""
        with self._lock:
            self.left = dict(calls)
            self.refused.clear()

    def refusal(self, call: Call) -> Refusal | None:
        """The refusal of the call if it is one of those to be refused, else None."""
        # Asked without the lock: nearly always nothing is throttled.
        if not self.left or not call.access_key.startswith(ROLE_KEYS):
            return None
        with self._lock:
            pattern = next((one for one, many in self.left.items() if many and fnmatchcase(call.name, one)), None)
            if pattern is None:
                return None
            self.left[pattern] -= 1
            self.refused[call.name] += 1
        return error_answer(call, *ERRORS.get(call.service, OTHERS))

    def serve(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """The control route: GET answers `{"left": {…}, "refused": {…}}`, POST `{"sagemaker:Create*": 3}` begins."""
        if environ["REQUEST_METHOD"] == "POST":
            self.throttle(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        return json_answer(start, "200 OK", {"left": self.left, "refused": dict(self.refused)})


def throttle_on_demand(cloud: Cloud) -> None:
    throttles = cloud.part(Throttles)
    cloud.guards.append(throttles.refusal)
    cloud.routes["/_millrace/throttles"] = throttles.serve
