"""The sizes of events and answers that Lambda takes: 6 MB synchronously, 1 MB asynchronously.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""

from __future__ import annotations

import json
from dataclasses import replace

from infra.local.awslambda.pools import Outcome

EVENT_BYTES = {"RequestResponse": 6_291_456, "Event": 1_048_576}
"""By the type of the invocation."""
ANSWER_BYTES = 6_291_556


def why_too_large(payload: bytes, kind: str) -> str | None:
    """What AWS says to an event that is too large for this type of invocation."""
    limit = EVENT_BYTES[kind]
    return (
        None
        if len(payload) <= limit
        else f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    )


def limited(outcome: Outcome) -> Outcome:
    """The outcome; one whose answer is too large becomes AWS's error."""
    if len(outcome.payload) <= ANSWER_BYTES:
        return outcome
    message = f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
    error = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
    return replace(outcome, payload=json.dumps(error).encode(), error="Unhandled")
