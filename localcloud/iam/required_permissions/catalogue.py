"""Finds the permissions that a call requires: actions, resources and condition values, for every service that we use.

Source: Service Authorization Reference, the tables of actions and resource types of each service. A call of a service
that is not listed here requires its action on `*`. Only a statement with `"Resource": "*"` can allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from localcloud.iam.condition_keys import context
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions import messaging, s3, services
from localcloud.iam.required_permissions.permission import ParsedCall, permission
from localcloud.kernel.calls import Call

_PREFIX = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
"""Services whose prefix in actions differs from botocore's name."""

# Operations whose action has another name.
_ACTION = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "execute-api:": "execute-api:Invoke",
    "lambda:Invoke": "lambda:InvokeFunction",
    "lambda:InvokeAsync": "lambda:InvokeFunction",
}

FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
"""The actions that every caller may use without a permission."""

_BY_SERVICE: Mapping[str, Callable[[str, ParsedCall], Iterator[Request]]] = {
    "apigateway": services.of_apigateway,
    "application-autoscaling": services.of_scaling,
    "athena": services.of_athena,
    "budgets": services.of_budgets,
    "cloudformation": services.of_cloudformation,
    "cloudtrail": services.of_cloudtrail,
    "cloudwatch": services.of_cloudwatch,
    "dynamodb": services.of_dynamodb,
    "ec2": services.of_ec2,
    "ecr": services.of_ecr,
    "emr-serverless": services.of_emr,
    "events": messaging.of_events,
    "execute-api": services.of_api,
    "glue": services.of_glue,
    "iam": services.of_iam,
    "kinesis": services.of_kinesis,
    "kms": services.of_kms,
    "lambda": services.of_lambda,
    "logs": services.of_logs,
    "s3": s3.of_s3,
    "sagemaker": services.of_sagemaker,
    "sagemaker-runtime": services.of_sagemaker,
    "scheduler": messaging.of_scheduler,
    "secretsmanager": services.of_secrets,
    "sns": messaging.of_sns,
    "sqs": messaging.of_sqs,
    "ssm": services.of_ssm,
    "stepfunctions": services.of_states,
    "sts": services.of_sts,
}
SERVICES = frozenset(_BY_SERVICE)
"""The services whose calls are checked against the resource that they name."""


def required_permissions(call: Call) -> list[Request]:
    """The permissions that the call needs. The caller must have all of them; an empty list means that every caller may.

    Example: PutObject with a customer key needs `s3:PutObject` on the object and `kms:GenerateDataKey` on the key."""
    parsed = ParsedCall(call=call, parameters=call.parameters())
    action = f"{_PREFIX.get(call.service, call.service)}:{call.operation}"
    if action in FREE:
        return []
    name = _ACTION.get(action, action)
    of_service = _BY_SERVICE.get(call.service, lambda action, _: [permission(action)])
    found = list(of_service(name, parsed))
    # The condition values of the whole call hold for each permission; a permission's own values win.
    given = context(parsed)
    return [replace(one, context={**given, **one.context}) for one in [*found, *_passed_roles(parsed)]]


def _passed_roles(parsed: ParsedCall) -> Iterator[Request]:
    """`iam:PassRole` for each role that the call passes to a service."""
    service = _RECEIVER.get(parsed.call.service, f"{parsed.call.service}.amazonaws.com")
    if parsed.call.service in {"sts", "iam", "s3"}:
        return
    for role in sorted(_roles_in(parsed.parameters)):
        yield Request(action="iam:PassRole", resources=(role,), context={"iam:passedtoservice": (service,)})


_RECEIVER = {"stepfunctions": "states.amazonaws.com"}


def _roles_in(value: Any, name: str = "") -> set[str]:
    """The ARNs of the roles in the parameters. `name` is that of the parameter that holds `value`."""
    if isinstance(value, Mapping):
        return set().union(*(_roles_in(item, key) for key, item in value.items())) if value else set()
    if isinstance(value, list):
        return set().union(*(_roles_in(item, name) for item in value)) if value else set()
    # By the name of the parameter, at any depth: `RoleArn`, `ExecutionRoleArn`, Lambda's `Role`.
    is_role = name.lower() == "role" or name.lower().endswith("rolearn")
    return {value} if is_role and isinstance(value, str) and ":role/" in value else set()
