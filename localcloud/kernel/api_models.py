"""Refuses a request that its service's own API model forbids: lengths, ranges, counts; SageMaker's also by its texts.

AWS publishes the models with its SDK. moto checks little of them, and botocore only types and lower ends. A quota with
a shape takes the place of the model's upper end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.model import ServiceModel
from moto.core.utils import get_service_model

from localcloud.kernel.calls import Call, Refusal, error_answer
from localcloud.kernel.quotas import rows

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

ELSEWHERE = frozenset({"s3", "sagemaker-runtime"})
"""Services whose requests are bodies, which the fillers measure while they read them."""
QUOTAS = {(group.partition(" ")[0], row["shape"]): row["most"] for (group, _), row in rows().items() if "shape" in row}
"""By botocore's name of the service and the shape."""


def refuse_by_models(cloud: Cloud) -> None:
    cloud.guards.append(refusal)


def refusal(call: Call) -> Refusal | None:
    """The answer to a request that the model forbids, or None if it allows it."""
    if not call.operation or call.service in ELSEWHERE:
        return None
    model = _model(call.service)
    shape = model.operation_model(call.operation).input_shape
    if shape is None or not (wrong := list(violations(call.parameters(), shape))):
        return None
    said = f"{len(wrong)} validation {'error' if len(wrong) == 1 else 'errors'} detected: {'; '.join(wrong)}"
    return error_answer(call, "ValidationError" if model.protocol == "query" else "ValidationException", said)


@cache
def _model(service: str) -> ServiceModel:
    """The model that moto has of the service, with its quotas for upper ends."""
    described: Any = get_service_model(service)._service_description
    # moto's own ids and tokens have no form of AWS's, so that a pattern or an enumeration would refuse them.
    cleared: dict[str, Any] = {} if service == "sagemaker" else {"pattern": "", "enum": []}
    shapes = {name: {**shape, **cleared} for name, shape in described["shapes"].items()}
    for (of, name), most in QUOTAS.items():
        if of == service:
            shapes[name]["max"] = most
    return ServiceModel({**described, "shapes": shapes}, service)


def violations(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """Yields a message for each thing that AWS's model forbids in `value`; an allowed value has none.

    The messages have the words of the service, such as
    `Value 'null' at 'trainingJobName' failed to satisfy constraint: Member must not be null`."""
    # The value is walked along its shape. `path` grows on the way, as AWS writes it: `inputDataConfig.1.member`.
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if value.get(name) is None:
                yield _failed("null", _join(path, name), "Member must not be null")
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from violations(value[name], member, _join(path, name))
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _size(len(value), shape, path, value)
        for index, item in enumerate(value, start=1):
            yield from violations(item, shape.member, f"{path}.{index}.member")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _size(len(value), shape, path, value)
        for key, item in value.items():
            yield from violations(key, shape.key, path)
            yield from violations(item, shape.value, f"{path}.{key}")
    else:
        # Also a structure, list or map whose value has another type: `_scalar` says so.
        yield from _scalar(value, shape, path)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str, datetime),
    "blob": (bytes, str),
}
"""The Python types that the value of each scalar type may have in a request."""


def _scalar(value: Any, shape: Any, path: str) -> Iterator[str]:
    expected = _TYPES.get(shape.type_name, (dict, list))
    # In Python a bool is an int too, but `true` is no number in JSON.
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        yield _failed(value, path, f"Member must be of type {shape.type_name}")
    elif isinstance(value, str) and shape.type_name == "string":
        yield from _size(len(value), shape, path, value, "length ")
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            yield _failed(value, path, f"Member must satisfy regular expression pattern: {pattern}")
        if shape.enum and value not in shape.enum:
            yield _failed(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    elif isinstance(value, bytes):
        yield from _size(len(value), shape, path, f"{len(value)} bytes", "length ")
    elif isinstance(value, int | float) and not isinstance(value, bool) and shape.type_name != "timestamp":
        yield from _size(value, shape, path, value, "value ")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    except re.error:
        # A few of AWS's patterns use Java's syntax (possessive groups, \p{L}): such a value is allowed.
        return True


def _size(size: float, shape: Any, path: str, value: Any, what: str = "length ") -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _failed(value, path, f"Member must have {what}greater than or equal to {low}")
    if high is not None and size > high:
        yield _failed(value, path, f"Member must have {what}less than or equal to {high}")


def _failed(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    lowered = name[:1].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered
