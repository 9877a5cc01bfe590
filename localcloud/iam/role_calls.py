"""Calls a target under the role that a service was given. EventBridge Scheduler may call any operation of AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.events.targets import Undelivered, undelivered
from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.message_size import attributes_of

# Scheduler's universal targets name services as the JavaScript SDK does. These names differ from botocore's.
_SDK_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}


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
    queue or topic.

    Raises Undelivered if the call fails; it says whether another attempt can help."""
    try:
        service, operation, parameters = _call_of(cloud, target, body)
        if attributes:
            parameters["MessageAttributes"] = attributes_of(attributes)
        client = as_role(cloud, target["RoleArn"], service, principal=principal)
        if not hasattr(client, operation):
            raise Undelivered("INVALID_PARAMETER", f"{service} has no operation {operation}", is_permanent=True)
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
        case "sns":
            return "sns", "publish", {"TopicArn": arn, "Message": body}
        case "sqs":
            url = f"{cloud.endpoint_url}/{ACCOUNT}/{arn.rsplit(':', 1)[1]}"
            group = {k: v for k, v in target.get("SqsParameters", {}).items() if k == "MessageGroupId"}
            return "sqs", "send_message", {"QueueUrl": url, "MessageBody": body, **group}
        case "events":
            named = target["EventBridgeParameters"]
            entry = {"EventBusName": arn, "Source": named["Source"], "DetailType": named["DetailType"], "Detail": body}
            return "events", "put_events", {"Entries": [entry]}
        case "scheduler":
            # A universal target: `arn:aws:scheduler:::aws-sdk:sqs:sendMessage`.
            service, operation = arn.split(":")[-2:]
            return _SDK_NAMES.get(service, service), xform_name(operation), json.loads(body or "{}")
    raise Undelivered("NO_RESOURCE", f"no delivery to {arn}", is_permanent=True)
