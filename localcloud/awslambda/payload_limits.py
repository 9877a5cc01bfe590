"""The sizes of events and answers that Lambda takes: 6 MB synchronously, 1 MB asynchronously.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""

from __future__ import annotations

import json
from dataclasses import replace

from localcloud.awslambda.pools import Outcome
from localcloud.kernel.quotas import quota

EVENT_BYTES = {"RequestResponse": quota("lambda", "event"), "Event": quota("lambda", "asynchronous event")}
"""The most bytes of an event, by the type of its invocation."""
ANSWER_BYTES = quota("lambda", "answer")


def why_too_large(payload: bytes, kind: str) -> str | None:
    """AWS's message for an event that is too large for this type of invocation, or None if it is not.

    `kind` is `RequestResponse` or `Event`."""
    limit = EVENT_BYTES[kind]
    said = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    return said if len(payload) > limit else None


def limited(outcome: Outcome) -> Outcome:
    """The same outcome, or AWS's error in its place if the answer is too large."""
    if len(outcome.payload) <= ANSWER_BYTES:
        return outcome
    message = f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
    error = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
    return replace(outcome, payload=json.dumps(error).encode(), error="Unhandled")
