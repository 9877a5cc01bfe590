"""Calls a target under the role that a service was given: a state machine, a function or a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.events.targets import Undelivered, undelivered
from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.message_size import attributes_of


def call(
    cloud: Cloud,
    target: Mapping[str, Any],
    body: str,
    *,
    principal: str,
    attributes: Mapping[str, str | int] | None = None,
) -> None:
    """Make the target's call under the target's role. `body` is the message, the input or the parameters as JSON.

    `principal` is the service that assumes the role (`scheduler.amazonaws.com`). `attributes` go with the message to a
    queue.

    Raises Undelivered if the call fails; it says whether another attempt can help."""
    try:
        service, operation, parameters = _call_of(cloud, target, body)
        if attributes:
            parameters["MessageAttributes"] = attributes_of(attributes)
        client = as_role(cloud, target["RoleArn"], service, principal=principal)
        getattr(client, operation)(**parameters)
    except ClientError as error:
        raise undelivered(error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]) from error
    except PermissionError as error:
        raise Undelivered("NO_PERMISSIONS", str(error), is_permanent=True) from error
    except (BotoCoreError, ValueError) as error:
        raise Undelivered("INVALID_PARAMETER", str(error), is_permanent=True) from error


def _call_of(cloud: Cloud, target: Mapping[str, Any], body: str) -> tuple[str, str, dict[str, Any]]:
    """The service and the method of its client in botocore's names, and the parameters of the call.

    Raises Undelivered if nothing can be delivered to the target."""
    arn: str = target["Arn"]
    match arn.split(":")[2]:
        case "states":
            return "stepfunctions", "start_execution", {"stateMachineArn": arn, "input": body}
        case "lambda":
            return "lambda", "invoke", {"FunctionName": arn, "InvocationType": "Event", "Payload": body}
        case "sqs":
            url = f"{cloud.endpoint_url}/{ACCOUNT}/{arn.rsplit(':', 1)[1]}"
            group = {k: v for k, v in target.get("SqsParameters", {}).items() if k == "MessageGroupId"}
            return "sqs", "send_message", {"QueueUrl": url, "MessageBody": body, **group}
    raise Undelivered("NO_RESOURCE", f"the local cloud covers no delivery to {arn}", is_permanent=True)
