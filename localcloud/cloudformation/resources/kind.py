"""What a resource type is for the stack engine: how it is put and deleted, and what its handler is given.

A table of types is for example `{"AWS::SQS::Queue": Kind(put=_put_queue, drop=…, fixed=("QueueName",))}`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import ACCOUNT, Cloud


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource that exists."""

    ref: str
    """The physical id, which `Ref` gives."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The attributes, which `Fn::GetAtt` gives: `{"Arn": "arn:…"}`."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """The evaluated properties from which it was made. The engine adds them."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One resource of a template, with its intrinsic functions evaluated."""

    cloud: Cloud
    stack: str
    stack_id: str
    logical_id: str
    type_name: str
    properties: dict[str, Any]
    role_arn: str | None = None
    """The role in whose name CloudFormation calls; None for the operator, who may do everything."""
    before: Made | None = None
    """The resource to be updated in place, or None if one is to be created."""

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of an API call. `parameters` may be written as CloudFormation writes them (see `conform`).

        A parameter that is None is left out. Raises ValueError for one that the API does not have."""
        by = "cloudformation.amazonaws.com"
        client = (
            as_role(self.cloud, self.role_arn, service, principal=by) if self.role_arn else self.cloud.client(service)
        )
        shape = client.meta.service_model.operation_model(operation).input_shape
        wanted = {key: value for key, value in parameters.items() if value is not None}
        conformed = conform(shape, wanted, f"{service}:{operation}") if shape else {}
        answer: dict[str, Any] = client._make_api_call(operation, conformed)
        return answer

    def settle(self, service: str, what: str, **parameters: Any) -> dict[str, Any]:
        """The answer of `Create<what>`, or of `Update<what>` for a resource that is there."""
        return self.call(service, f"{'Create' if self.before is None else 'Update'}{what}", **parameters)

    def name(self, key: str, *, longest: int = 64, lower: bool = False) -> str:
        """The name in the property `key`, or a name as CloudFormation makes one: `<stack>-<logical id>-0A1B2C3D4E5F`.

        Such a name has at most `longest` characters. With `lower` it is in lower case."""
        given = self.properties.get(key)
        if given:
            return str(given)
        # An update keeps the name that was made. It is the end of the physical id:
        #   my-queue | bus|my-rule | arn:aws:sns:…:my-topic | https://sqs…/123456789012/my-queue
        if self.before is not None:
            ref = self.before.ref.rpartition("|")[2]
            return re.split("[:/]", ref)[-1] if ref.startswith(("arn:", "http")) else ref
        suffix = uuid.uuid4().hex[:12].upper()
        # The suffix and its hyphen have 13 characters; what comes before is cut.
        made = f"{self.stack}-{self.logical_id}"[: longest - 13].rstrip("-") + f"-{suffix}"
        return made.lower() if lower else made

    def get(self, *keys: str) -> dict[str, Any]:
        """Those of these properties that the template has."""
        return {key: self.properties[key] for key in keys if key in self.properties}

    def rest(self, *keys: str) -> dict[str, Any]:
        """All properties except these. They go to the API, which refuses an unknown one by name: none is dropped."""
        return {key: value for key, value in self.properties.items() if key not in keys}

    def changed(self, *keys: str) -> bool:
        """Whether one of these properties differs from the resource before, or is new."""
        before = self.before.properties if self.before else {}
        return any(self.properties.get(key) != before.get(key) for key in keys)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a resource type is created or updated, and how it is deleted."""

    put: Callable[[Wanted], Made]
    """Creates the resource, or updates it in place if `Wanted.before` is set."""
    drop: Callable[[Wanted, Made], Any] | None = None
    """Deletes the resource. None if it is deleted together with another one, or cannot be deleted."""
    fixed: tuple[str, ...] = ()
    """The properties whose change makes AWS replace the resource. `*` means all of them."""

    def is_replaced(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether a change of the properties replaces the resource."""
        keys = set(before) | set(after) if "*" in self.fixed else set(self.fixed)
        return any(before.get(key) != after.get(key) for key in keys)


def conform(shape: Any, value: Any, where: str) -> Any:
    """`value` in the form of the API's shape.

    Members get their exact names, numbers and booleans are made from text, and documents become text. Raises ValueError
    for a member that the API does not have; `where` is its place in the message."""
    if shape.type_name == "structure":
        return {**_members(shape, value, where)}
    if shape.type_name == "list":
        items = value if isinstance(value, list) else [value]
        return [conform(shape.member, item, where) for item in items]
    if shape.type_name == "map":
        # A template writes tags as a list of keys and values, where some APIs have a map.
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
    """The value as an attribute of a queue or topic is written: `true`, `300` or a JSON document."""
    return value if isinstance(value, str) else json.dumps(value)


def arn(service: str, wanted: Wanted, rest: str) -> str:
    """`arn:aws:sqs:eu-west-1:123456789012:jobs` for the service `sqs` and the rest `jobs`."""
    return f"arn:aws:{service}:{wanted.cloud.region}:{ACCOUNT}:{rest}"


def by_ref(service: str, operation: str, key: str, *beside: str, **fixed: Any) -> Callable[[Wanted, Made], Any]:
    """A `drop` that makes one call, with the physical id as the parameter `key`, and these properties `beside` it."""
    return lambda wanted, made: wanted.call(service, operation, **{key: made.ref}, **wanted.get(*beside), **fixed)


def dropped(put: Callable[[Wanted], Made], call: str, key: str, *fixed: str) -> Kind:
    """A type that one call deletes by its physical id, the parameter `key`; `fixed` as in Kind.

    An example: `dropped(_put_queue, "sqs:DeleteQueue", "QueueUrl", "QueueName", "FifoQueue")`."""
    service, _, operation = call.partition(":")
    return Kind(put=put, drop=by_ref(service, operation, key), fixed=fixed)


def named(
    service: str,
    what: str,
    key: str,
    *,
    fixed: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
    ref: str = "",
    wait: Callable[[Wanted, str], Any] = lambda *_: None,
) -> Kind:
    """A type with calls that create, update and delete it by its name, the property `key`.

    `beside` are properties that its deletion needs too, `ref` the attribute that `Ref` gives, by default the name.
    `wait` returns when the resource is ready."""

    def put(wanted: Wanted) -> Made:
        name = wanted.before.attributes[key] if wanted.before else wanted.name(key)
        made = wanted.settle(service, what, **{key: name}, **wanted.rest(key, *(("Tags",) if wanted.before else ())))
        wait(wanted, name)
        attributes = {"Arn": made[f"{what}Arn"], key: name}
        return Made(ref=attributes[ref or key], attributes=attributes)

    def drop(wanted: Wanted, made: Made) -> None:
        wanted.call(service, f"Delete{what}", **{key: made.attributes[key]}, **wanted.get(*beside))

    return Kind(put=put, drop=drop, fixed=(key, *beside, *fixed))
