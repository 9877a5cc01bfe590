"""Asynchronous invocations: answered at once, tried three times, then handed to a destination or dead-letter queue.

With two retries, which is the default, an event goes this way:

    attempt 1 --1 s--> attempt 2 --2 s--> attempt 3 -> OnFailure destination, dead-letter queue
        any attempt that succeeds                   -> OnSuccess destination
"""

from __future__ import annotations

import json
import logging
from typing import Any

from localcloud.awslambda.pools import Functions, Outcome
from localcloud.events import targets
from localcloud.iam import role_calls
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.dispatcher import dispatcher

LOG = logging.getLogger(__name__)
PRINCIPAL = "lambda.amazonaws.com"
RETRY_WAITS_S = (1.0, 2.0)
"""Real seconds before the second and the third attempt. AWS waits one and two minutes."""


def send(cloud: Cloud, function: Any, payload: bytes, request_id: str, *, attempt: int = 1) -> None:
    """Queue the event and return. The function's event-invoke configuration says how often it is tried.

    `attempt` counts from 1."""
    wait_s = RETRY_WAITS_S[attempt - 2] if attempt > 1 else 0.0
    dispatcher(cloud).submit(
        f"invocation of {function.function_name}",
        lambda: _attempt(cloud, function, payload, request_id, attempt),
        after_s=wait_s,
    )


def _attempt(cloud: Cloud, function: Any, payload: bytes, request_id: str, attempt: int) -> None:
    # A thread of the dispatcher runs this. The configuration is read after the invocation, as it is by then.
    functions: Functions = cloud.parts[Functions]
    outcome = functions.invoke(function, payload, request_id)
    config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    destinations = config.get("DestinationConfig", {})
    if not outcome.error:
        _to_destination(cloud, function, destinations.get("OnSuccess", {}), payload, outcome, attempt)
    elif attempt <= int(config.get("MaximumRetryAttempts", len(RETRY_WAITS_S))):
        send(cloud, function, payload, request_id, attempt=attempt + 1)
    else:
        _to_destination(cloud, function, destinations.get("OnFailure", {}), payload, outcome, attempt)
        _to_dead_letters(cloud, function, payload, outcome)


def _to_destination(
    cloud: Cloud, function: Any, destination: dict[str, str], payload: bytes, outcome: Outcome, attempt: int
) -> None:
    """Send the invocation record to the destination, if there is one.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    arn = destination.get("Destination")
    if not arn:
        return
    version = str(function.version)
    plain = function.function_arn.removesuffix(f":{version}")
    record = {
        "version": "1.0",
        "timestamp": cloud.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": outcome.request_id,
            "functionArn": f"{plain}:{version}",
            "condition": "RetriesExhausted" if outcome.error else "Success",
            "approximateInvokeCount": attempt,
        },
        "requestPayload": _read(payload),
        "responseContext": {
            "statusCode": 200,
            "executedVersion": version,
            **({"functionError": outcome.error} if outcome.error else {}),
        },
        "responsePayload": _read(outcome.payload),
    }
    kind = "Failure" if outcome.error else "Success"
    if ":event-bus/" in arn:
        detail_type = f"Lambda Function Invocation Result - {kind}"
        targets.put_event(cloud, arn, "lambda", detail_type, record, resources=[f"{plain}:{version}", arn])
    else:
        _as_function(cloud, function, arn, json.dumps(record))


def _to_dead_letters(cloud: Cloud, function: Any, payload: bytes, outcome: Outcome) -> None:
    if not function.dead_letter_arn:
        return
    # A dead letter is the event itself. As documented, its attributes say what failed: ErrorCode is an HTTP status,
    # ErrorMessage the first 1 KB of the error.
    message = str(_read(outcome.payload).get("errorMessage", ""))[:1024]
    attributes: dict[str, str | int] = {"RequestID": outcome.request_id, "ErrorCode": 200, "ErrorMessage": message}
    _as_function(cloud, function, function.dead_letter_arn, payload.decode(), attributes)


def _as_function(
    cloud: Cloud, function: Any, arn: str, body: str, attributes: dict[str, str | int] | None = None
) -> None:
    """Send under the function's role. What the role may not send is lost, as on AWS. The cloud's log then says so."""
    target = {"Arn": arn, "RoleArn": function.role}
    try:
        role_calls.call(cloud, target, body, principal=PRINCIPAL, attributes=attributes)
    except targets.Undelivered as error:
        LOG.warning("%s: event lost: %s", function.function_arn, error)


def _read(payload: bytes) -> Any:
    return json.loads(payload or b"null")
