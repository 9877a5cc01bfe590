"""Checks the Parameters of a task against botocore's model of the AWS API, at synth and in tests.

A key that ends in `.$` has its value only at run time: its name and its place are checked, but not its value. A value
with a deploy-time token is not checked either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import aws_cdk as cdk
import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from millrace.errors import ConfigurationError

OPTIMIZED = {
    "athena": "athena",
    "emr-serverless": "emr-serverless",
    "sagemaker": "sagemaker",
    "lambda": "lambda",
    "events": "events",
    "states": "stepfunctions",
    "sns": "sns",
    "sqs": "sqs",
}
"""botocore's names of the services for which Step Functions has an integration of its own."""
SDK = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "s3": "s3",
    "sagemaker": "sagemaker",
}
"""botocore's names of the services that Step Functions calls as `aws-sdk:<name>`."""
AS_JSON = {("events", "Entries.Detail"), ("states", "Input"), ("lambda", "Payload"), ("sqs", "MessageBody")}
"""Parameters for which an optimized integration takes JSON, and the API takes a text."""
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}


def checked(task: Mapping[str, Any]) -> dict[str, Any]:
    """The task state, unchanged. Raises ConfigurationError with every problem of its Parameters."""
    found = list(problems(task["Resource"], task["Parameters"]))
    if found:
        raise ConfigurationError(
            where=task["Resource"], field="Parameters", expected="what the API takes", came="; ".join(found)
        )
    return dict(task)


def problems(resource: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each problem of the parameters of the task `arn:aws:states:::<service>:<action>`."""
    service, operation = _operation(resource)
    shape = operation.input_shape
    if shape is None:
        yield from (f"{name}: expected no parameters" for name in parameters)
        return
    yield from _structure(service, "", shape, parameters)


def _operation(resource: str) -> tuple[str, OperationModel]:
    """The service, `sdk` for each one of `aws-sdk:`, and the API's operation.

    Raises ConfigurationError if one of them is unknown."""
    found = re.fullmatch(r"arn:aws:states:::(aws-sdk:)?([\w-]+):(\w+)(\.sync|\.sync:2|\.waitForTaskToken)?", resource)
    table = SDK if found and found[1] else OPTIMIZED
    if not found or found[2] not in table:
        raise ConfigurationError(
            where="task", field="Resource", expected=f"a service of {sorted(table)}", came=resource
        )
    action = found[3][0].upper() + found[3][1:]
    model = _model(table[found[2]])
    if action not in model.operation_names:
        raise ConfigurationError(where="task", field="Resource", expected=f"an operation of {found[2]}", came=action)
    return ("sdk" if found[1] else found[2]), model.operation_model(action)


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _structure(service: str, path: str, shape: StructureShape, values: Mapping[str, Any]) -> Iterator[str]:
    # By the key without `.$`. Step Functions writes a parameter with a capital, as botocore may not.
    given = {name.removesuffix(".$"): (name, value) for name, value in values.items()}
    members = {name[0].upper() + name[1:]: member for name, member in shape.members.items()}
    # Step Functions makes the token of a call that names none.
    tokens = {name for name, member in shape.members.items() if member.metadata.get("idempotencyToken")}
    required = {name[0].upper() + name[1:] for name in shape.required_members if name not in tokens}
    yield from (f"{_at(path, name)}: missing" for name in sorted(required - given.keys()))
    for name, (written, value) in given.items():
        if name not in members:
            yield f"{_at(path, name)}: unknown, expected one of {', '.join(sorted(members))}"
        elif written == name:
            yield from _value(service, _at(path, name), members[name], value)
        elif not str(value).startswith(("$", "States.")):
            yield f"{_at(path, name)}: expected a path or an intrinsic function after .$, got {value!r}"


def _value(service: str, path: str, shape: Shape, value: Any) -> Iterator[str]:
    # JSON of ours has no shape, and a token has no value yet.
    if (service, path) in AS_JSON or cdk.Token.is_unresolved(value):
        return
    if isinstance(shape, StructureShape):
        yield from _structure(service, path, shape, value) if isinstance(value, Mapping) else [f"{path}: no structure"]
    elif isinstance(shape, ListShape):
        yield from _items(service, path, shape, value)
    # The keys of a map are free, so those of `.$` are left out and only plain values are checked.
    elif isinstance(shape, MapShape):
        plain = {name: one for name, one in dict(value).items() if not name.endswith(".$")}
        for name, one in plain.items():
            yield from _value(service, _at(path, name), shape.value, one)
    else:
        yield from _scalar(path, shape, value)


def _items(service: str, path: str, shape: ListShape, value: Any) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"{path}: expected a list, got {value!r}"
        return
    yield from _bounds(path, shape, len(value), "items")
    for one in value:
        yield from _value(service, path, shape.member, one)


def _scalar(path: str, shape: Shape, value: Any) -> Iterator[str]:
    # A bool is an int to Python, but no number to AWS.
    allowed = PYTHON_TYPES.get(shape.type_name, (object,))
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed and object not in allowed):
        yield f"{path}: expected {shape.type_name}, got {value!r}"
    elif isinstance(value, str):
        enum, pattern = getattr(shape, "enum", []), shape.metadata.get("pattern")
        if enum and value not in enum:
            yield f"{path}: expected one of {', '.join(enum[:12])}, got {value!r}"
        if pattern and not _matches(pattern, value):
            yield f"{path}: expected {pattern}, got {value!r}"
        yield from _bounds(path, shape, len(value), "characters")
    elif not isinstance(value, bool) and isinstance(value, int | float):
        yield from _bounds(path, shape, value, "")


def _bounds(path: str, shape: Shape, measured: float, unit: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and measured < low) or (high is not None and measured > high):
        yield f"{path}: expected {low} to {high} {unit}".rstrip() + f", got {measured}"


def _matches(pattern: str, value: str) -> bool:
    """Whether the value matches the pattern. A Java pattern that Python does not know lets every value through."""
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
