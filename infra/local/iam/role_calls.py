"""Call a target under the role that a service was given; Scheduler may call any operation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.events.targets import Undelivered, undelivered
from infra.local.iam.roles import as_role
from infra.local.kernel.cloud import ACCOUNT, Cloud

# Universal targets name services as the JavaScript SDK does; these differ from botocore's names.
_SDK_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}


def call(
    cloud: Cloud,
    target: Mapping[str, Any],
    body: str,
    *,
    principal: str,
    attributes: Mapping[str, str | int] | None = None,
) -> None:
    """Make the call of the target with the target's role; raises `Undelivered`.

    `principal` is the service that assumes the role (`scheduler.amazonaws.com`); `attributes` go with the message to
    a queue or topic."""
    try:
        service, operation, parameters = _call_of(cloud, target, body)
        if attributes:
            parameters["MessageAttributes"] = {
                key: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
                for key, value in attributes.items()
            }
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
    """Service and method in botocore's names, and the parameters."""
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
            service, operation = arn.split(":")[-2:]
            return _SDK_NAMES.get(service, service), xform_name(operation), json.loads(body or "{}")
    raise Undelivered("NO_RESOURCE", f"no delivery to {arn}", is_permanent=True)
