"""Delivers one message to one target: a queue, a topic, a function, a state machine, a bus or an HTTP API."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError, ServiceException

from localcloud.iam.identity import refused
from localcloud.iam.policies import Request
from localcloud.iam.roles import as_role
from localcloud.iam.service_permissions import refusal
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.message_size import attributes_of

RETRY_WAITS_S = (0.5, 1.0, 2.0)
"""Real seconds between attempts, after a failure that may pass: four attempts at most.

AWS tries as often and as long as the target's retry policy says; without one, 185 times within a day."""


class Undelivered(Exception):  # noqa: N818 - says what became of the delivery
    """A target did not take a message. `code` is EventBridge's word for the reason (`NO_PERMISSIONS`).

    A permanent failure is not tried again."""

    def __init__(self, code: str, message: str, *, is_permanent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.is_permanent = is_permanent


def is_tried_again(target: Mapping[str, Any], failure: Undelivered, attempt: int) -> bool:
    """Whether another attempt follows the failed attempt, which is 1 for the first one.

    `target` is the target as its rule or schedule declares it, with its RetryPolicy."""
    allowed = int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", 185))
    return not failure.is_permanent and attempt <= min(allowed, len(RETRY_WAITS_S))


def send(
    cloud: Cloud,
    arn: str,
    body: str,
    *,
    role_arn: str = "",
    parameters: Mapping[str, Any] | None = None,
    attributes: Mapping[str, str | int] | None = None,
    name: str = "",
    subject: str = "",
    sender: tuple[str, str] | None = None,
) -> None:
    """Deliver `body` to the target. Raises Undelivered if the target does not take it.

    `role_arn`: the role that calls a state machine or an HTTP API.
    `sender`: the service and the ARN for which it acts (`events.amazonaws.com`, a rule). The policies of queues, topics
    and functions decide whether they take the message from it; None asks no policy.
    `parameters`: the target's SqsParameters. `attributes`: those of a message to a queue or topic.
    `name`: that of an execution. `subject`: that of a notification."""
    # A service has no keys that could sign a call. So moto's backends are called below without HTTP, and the policy of
    # the receiver is checked here.
    if sender is not None and (reason := refusal(arn, *sender)):
        raise Undelivered("NO_PERMISSIONS", reason, is_permanent=True)
    try:
        match arn.split(":")[2]:
            case "sqs":
                _to_queue(arn, body, parameters or {}, attributes or {})
            case "sns":
                _to_topic(cloud, arn, body, subject, attributes or {})
            case "lambda":
                invoke_later(cloud, arn, body)
            case "states":
                _start_execution(cloud, arn, body, role_arn, name)
            case "events" if ":api-destination/" in arn:
                call_api(cloud, arn, body, role_arn)
            case service:
                raise Undelivered("NO_RESOURCE", f"no delivery to {service} targets: {arn}", is_permanent=True)
    except ClientError as error:
        raise undelivered(error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]) from error
    except PermissionError as error:
        raise Undelivered("NO_PERMISSIONS", str(error), is_permanent=True) from error
    except LookupError as error:
        raise Undelivered("NO_RESOURCE", str(error), is_permanent=True) from error
    except ConnectionError as error:
        raise Undelivered("SDK_CLIENT_ERROR", str(error), is_permanent=False) from error
    except (ServiceException, JsonRESTError) as error:
        # moto's own errors: its backends were called without HTTP.
        code = getattr(error, "error_type", None) or error.code
        raise undelivered({"Code": str(code), "Message": str(error.message)}, 400) from error


def _to_queue(arn: str, body: str, parameters: Mapping[str, Any], attributes: Mapping[str, str | int]) -> None:
    backend = moto_backend("sqs", arn.split(":")[3], account=arn.split(":")[4])
    backend.send_message(
        queue_name=arn.rsplit(":", 1)[1],
        message_body=body,
        message_attributes=attributes_of(attributes),
        group_id=parameters.get("MessageGroupId"),
    )


def _to_topic(cloud: Cloud, arn: str, body: str, subject: str, attributes: Mapping[str, str | int]) -> None:
    typed = {
        key: {"Type": "Number" if isinstance(value, int) else "String", "Value": str(value)}
        for key, value in attributes.items()
        if value != ""
    }
    moto_backend("sns", cloud.region).publish(body, arn, subject=subject or None, message_attributes=typed)


def invoke_later(cloud: Cloud, name_or_arn: str, payload: str) -> None:
    """Put the event into the function's queue, as an invocation of the type `Event` does.

    Raises one of moto's errors if there is no such function."""
    function: Any = moto_backend("lambda", cloud.region).get_function(name_or_arn)
    function.invoke(payload, {"x-amz-invocation-type": "Event"}, {})


def _start_execution(cloud: Cloud, arn: str, body: str, role_arn: str, name: str) -> None:
    named = {"name": name} if name else {}
    if not role_arn:
        raise Undelivered("NO_PERMISSIONS", "a state machine as target needs a RoleArn", is_permanent=True)
    client = as_role(cloud, role_arn, "stepfunctions", principal="events.amazonaws.com")
    client.start_execution(stateMachineArn=arn, input=body, **named)


def undelivered(error: Mapping[str, Any], status: int) -> Undelivered:
    """The failure for an error of the API, in EventBridge's words. `status` is the HTTP status of the error."""
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    if "AccessDenied" in code or "NotAuthorized" in code:
        return Undelivered("NO_PERMISSIONS", message, is_permanent=True)
    if any(word in code for word in ("NotFound", "DoesNotExist", "NonExistent")):
        return Undelivered("NO_RESOURCE", message, is_permanent=True)
    if "Throttl" in code or "TooManyRequests" in code or "LimitExceeded" in code:
        return Undelivered("THROTTLING", message, is_permanent=False)
    if status >= 500:
        return Undelivered("INTERNAL_ERROR", message, is_permanent=False)
    return Undelivered("INVALID_PARAMETER", f"{code}: {message}", is_permanent=True)


TIMEOUT_S = 5
"""Seconds for the answer, as on AWS."""


def call_api(cloud: Cloud, arn: str, body: str, role_arn: str) -> None:
    """Send the body to the API destination `arn`, with its HTTP method and its connection's API key.

    Raises LookupError if there is no such destination, PermissionError if there is no role or it may not call the
    destination, ConnectionError if the server does not answer or answers with an error."""
    backend: Any = moto_backend("events", cloud.region)
    found = next((one for one in list(backend.destinations.values()) if one.arn == arn), None)
    if found is None:
        raise LookupError(f"no API destination {arn}")
    request = Request(action="events:InvokeApiDestination", resources=(arn,), context={})
    denial = refused(cloud, role_arn, "events:PutEvents", request)
    if not role_arn or denial is not None:
        raise PermissionError(f"events:InvokeApiDestination {denial.reason if denial else 'needs a RoleArn'}")
    connection = next(one for one in list(backend.connections.values()) if one.arn == found.connection_arn)
    key = connection.auth_parameters.get("ApiKeyAuthParameters", {})
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if key:
        headers[key["ApiKeyName"]] = key["ApiKeyValue"]
    call = urllib.request.Request(  # noqa: S310 - the URL of the cloud's own destination
        found.invocation_endpoint, data=body.encode(), headers=headers, method=found.http_method
    )
    try:
        urllib.request.urlopen(call, timeout=TIMEOUT_S).close()  # noqa: S310 # nosec B310 - as above
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(f"{found.name}: {error}") from error
