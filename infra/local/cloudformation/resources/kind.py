"""A resource type of the stack engine, and the desired and previous state that its handler gets."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.local.kernel.cloud import Cloud


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource that exists: its physical id (what `Ref` gives), its attributes and the properties it was made of."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One resource of a template, its intrinsic functions evaluated."""

    cloud: Cloud
    stack: str
    stack_id: str
    logical_id: str
    properties: dict[str, Any]
    before: Made | None = None
    """The resource that is to be updated in place; None when it is to be created."""

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of an API call; `parameters` may be written as CloudFormation writes them (see `conform`)."""
        client = self.cloud.client(service)
        shape = client.meta.service_model.operation_model(operation).input_shape
        wanted = {key: value for key, value in parameters.items() if value is not None}
        conformed = conform(shape, wanted, f"{service}:{operation}") if shape else {}
        answer: dict[str, Any] = client._make_api_call(operation, conformed)
        return answer

    def name(self, key: str, *, longest: int = 64, lower: bool = False) -> str:
        """The property, or a name made the way CloudFormation makes one: stack, logical id, 12 characters."""
        given = self.properties.get(key)
        if given:
            return str(given)
        # A made-up name is not made up again at an update. It is the end of the physical id:
        #   my-queue | bus|my-rule | arn:aws:sns:…:my-topic | https://sqs…/123456789012/my-queue
        if self.before is not None:
            ref = self.before.ref.rpartition("|")[2]
            return re.split("[:/]", ref)[-1] if ref.startswith(("arn:", "http")) else ref
        suffix = uuid.uuid4().hex[:12].upper()
        # 13: the suffix and its hyphen must fit, so the rest is cut.
        made = f"{self.stack}-{self.logical_id}"[: longest - 13].rstrip("-") + f"-{suffix}"
        return made.lower() if lower else made

    def get(self, *keys: str) -> dict[str, Any]:
        """Those of the properties that are given."""
        return {key: self.properties[key] for key in keys if key in self.properties}

    def rest(self, *keys: str) -> dict[str, Any]:
        """All properties but these: what the API does not know is refused by name, nothing is dropped silently."""
        return {key: value for key, value in self.properties.items() if key not in keys}

    def changed(self, *keys: str) -> bool:
        """Whether one of the properties is new or differs from before."""
        before = self.before.properties if self.before else {}
        return any(self.properties.get(key) != before.get(key) for key in keys)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How one resource type is created or updated, and deleted."""

    put: Callable[[Wanted], Made]
    drop: Callable[[Wanted, Made], Any] | None = None
    """None: it is deleted with another resource, or cannot be deleted."""
    fixed: tuple[str, ...] = ()
    """Properties whose change makes AWS replace the resource; `*` means all of them."""

    def is_replaced(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        keys = set(before) | set(after) if "*" in self.fixed else set(self.fixed)
        return any(before.get(key) != after.get(key) for key in keys)


def conform(shape: Any, value: Any, where: str) -> Any:
    """`value` as the API's shape wants it: members by exact name, numbers and booleans from text, documents as text.

    Raises ValueError naming a member that the API does not have."""
    if shape.type_name == "structure":
        return {**_members(shape, value, where)}
    if shape.type_name == "list":
        items = value if isinstance(value, list) else [value]
        return [conform(shape.member, item, where) for item in items]
    if shape.type_name == "map":
        pairs = {item["Key"]: item["Value"] for item in value} if isinstance(value, list) else value
        return {key: conform(shape.value, item, f"{where}.{key}") for key, item in pairs.items()}
    return _scalar(shape.type_name, value)


def _members(shape: Any, value: dict[str, Any], where: str) -> dict[str, Any]:
    # CloudFormation writes `RoleArn` where an API writes `roleArn`, and `Key` where another writes `key`.
    by_lower = {name.lower(): name for name in shape.members}
    found = {}
    for key, item in value.items():
        name = by_lower.get(key.lower())
        if name is None:
            raise ValueError(f"{where}: the API has no member {key!r}, it has {sorted(shape.members)}")
        found[name] = conform(shape.members[name], item, f"{where}.{name}")
    return found


def _scalar(kind: str, value: Any) -> Any:
    if kind in {"integer", "long"}:
        return int(value)
    if kind in {"float", "double"}:
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "string":
        return value if isinstance(value, str) else as_text(value)
    if kind == "timestamp" and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def as_text(value: Any) -> str:
    """`true`, `300` or a JSON document, as an attribute of a queue or topic is written."""
    return value if isinstance(value, str) else json.dumps(value)


def arn(service: str, wanted: Wanted, rest: str) -> str:
    from infra.local.kernel.cloud import ACCOUNT

    return f"arn:aws:{service}:{wanted.cloud.region}:{ACCOUNT}:{rest}"


def by_ref(service: str, operation: str, key: str) -> Callable[[Wanted, Made], Any]:
    """What deletes a resource by its physical id alone: one call, the id under that key."""
    return lambda wanted, made: wanted.call(service, operation, **{key: made.ref})
