"""The resources of one stack: made, changed, replaced and deleted in the order of their references, with events.

Every resource type goes through the service's own API. An unknown type or property raises an error that names it.

An update with a replacement goes in these steps, as on AWS:

    1. settle each resource of the template: leave it, create it, change it in place, or make its replacement
    2. delete what was replaced, in the reverse order
    3. delete what the template no longer has, in the reverse order

If a step fails, the same is done once more with the former template. Resources that were to be replaced still live
then, and are taken back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, ClassVar

from localcloud.cloudformation.intrinsics import evaluate
from localcloud.cloudformation.parameters import is_stored, with_defaults
from localcloud.cloudformation.resources import (
    custom,
    functions,
    machines,
    messaging,
    network,
    observation,
    of_moto,
    permissions,
    rest_apis,
    storage,
)
from localcloud.cloudformation.resources.kind import Kind, Made, Wanted
from localcloud.kernel.cloud import Cloud, moto_backend

models: Any = import_module("moto.cloudformation.models")
parsing: Any = import_module("moto.cloudformation.parsing")
exceptions: Any = import_module("moto.cloudformation.exceptions")

KINDS: Mapping[str, Kind] = {
    type_name: kind
    for table in (functions, machines, messaging, network, observation, permissions, rest_apis, storage)
    for type_name, kind in table.KINDS.items()
} | {"AWS::CDK::Metadata": Kind(put=lambda wanted: Made(ref=wanted.logical_id))}
"""The resource types that are made by their services' own APIs."""


def kind_of(type_name: str) -> Kind:
    """How a type is made: by its service's API, by a function of the app, else as moto has it."""
    if type_name.startswith(custom.PREFIXES):
        return custom.KIND
    kind = KINDS.get(type_name) or of_moto.find(type_name)
    assert kind is not None, f"{type_name} was not refused with its template"
    return kind


REVERTED = frozenset(
    {
        "AWS::Events::Rule", "AWS::Lambda::EventSourceMapping", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
    }
)  # fmt: skip
"""The types that a change set puts again as the template says, if it reverts drift."""
POLICIES: tuple[str, ...] = ("DeletionPolicy", "UpdateReplacePolicy")


class ResourceError(Exception):
    """A resource could not be made, changed or deleted. The message says which one, its type, and why."""

    def __init__(self, logical_id: str, type_name: str, reason: object) -> None:
        super().__init__(f"{logical_id} ({type_name}): {reason}")
        self.logical_id, self.type_name, self.reason = logical_id, type_name, str(reason)


@dataclass(kw_only=True)
class Resource:
    """A resource of a stack that exists, with the attributes that moto's CloudFormation API reads."""

    logical_resource_id: str
    type: str
    made: Made
    policies: dict[str, str]
    """`DeletionPolicy` and `UpdateReplacePolicy`, if the template has them: `{"DeletionPolicy": "Retain"}`."""

    @property
    def physical_resource_id(self) -> str:
        return self.made.ref

    def get_cfn_attribute(self, name: str) -> str:
        try:
            return self.made.attributes[name]
        except KeyError:
            known = sorted(self.made.attributes)
            raise ValueError(f"{self.type} has no attribute {name!r} in the local cloud, it has {known}") from None

    def is_created(self) -> bool:
        return True


class StackResources(parsing.ResourceMap):  # type: ignore[misc]
    """The resources of one stack by logical id. To ask for a resource makes it, after those that it refers to.

    It takes the place of moto's ResourceMap, and may go when that knows our types and replaces resources."""

    cloud: ClassVar[Cloud]
    input_parameters: dict[str, Any]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # What exists, in the order in which it was completed. moto's `_parsed_resources` has the values of names that
        # this operation has settled already: resources, parameters, mappings, `AWS::Region`.
        self._live: dict[str, Resource] = {}
        # The resources that are being made, outermost first: a circle of references meets itself here.
        self._under_way: list[str] = []
        # The resources that this operation replaces. They are deleted at its end.
        self._replaced: list[Resource] = []
        self._reverts_drift = False
        self.imported: Mapping[str, str] = {}
        """The physical ids of resources that exist and are taken into the stack, by logical id."""

    def __getitem__(self, key: str) -> Any:
        # `evaluate` and `_settle` come back here for each resource that a resource refers to. The recursion makes the
        # order.
        if key not in self._parsed_resources:
            definition = self._resource_json_map[key]
            condition = definition.get("Condition")
            if condition and not self.lazy_condition_map[condition]:
                raise KeyError(f"{key} is not part of this stack: its condition {condition} is false")
            self._parsed_resources[key] = self._settle(key, definition)
        return self._parsed_resources[key]

    def values(self) -> list[Any]:
        return list(self._live.values())

    @property
    def definitions(self) -> dict[str, dict[str, Any]]:
        """The definitions of the resources whose conditions hold, as the template has them."""
        return {key: one for key, one in self._resource_json_map.items() if self.is_wanted(one)}

    def validate_outputs(self) -> None:
        """Does nothing, in the place of moto's method: outputs are checked when they are evaluated."""

    def load_parameters(self) -> None:
        given, declared = self.input_parameters, self._template.get("Parameters") or {}
        # moto leaves a list's default as one text.
        self.input_parameters = with_defaults(declared, given)
        super().load_parameters()
        self.input_parameters = given

    def parse_ssm_parameter(self, value: str, value_type: str) -> Any:
        if not is_stored(value):
            raise ValueError(f"Unable to fetch parameters [{value}] from parameter store for this account.")
        return super().parse_ssm_parameter(value, value_type)

    def create(self, template: dict[str, Any]) -> bool:
        self._apply(template)
        return True

    def update(
        self, template: dict[str, Any], parameters: dict[str, Any] | None = None, *, rolled_back: bool = False
    ) -> None:
        self._template, self.input_parameters = template, parameters or {}
        # Values that may change are looked up anew. Those of AWS's own names (`AWS::Region`) stay.
        for key in [*self._live, *template.get("Parameters", {}), *template.get("Mappings", {})]:
            self._parsed_resources.pop(key, None)
        self.resolved_parameters: dict[str, Any] = {}
        self.load()
        if rolled_back:
            self._restore_replaced()
        self._apply(template, rolled_back=rolled_back)

    def delete(self, *, rolled_back: bool = False, but: Collection[str] = ()) -> None:
        """Delete all resources that are not retained, the last made first; `but` those with these logical ids.

        `rolled_back` says that a creation is rolled back: then `RetainExceptOnCreate` does not retain."""
        for resource in reversed([one for key, one in self._live.items() if key not in but]):
            if not (resource.logical_resource_id in self.imported or _is_kept(resource, rolled_back=rolled_back)):
                self._drop(resource)
            del self._live[resource.logical_resource_id]

    @contextmanager
    def reverting_drift(self) -> Iterator[None]:
        """Within the block, let an update put the resources of REVERTED again, even if the template leaves them.

        Their present state is not compared: a resource that has not drifted is put again as it is."""
        self._reverts_drift = True
        try:
            yield
        finally:
            self._reverts_drift = False

    def creation_complete(self) -> bool:
        return True

    def _restore_replaced(self) -> None:
        """Take back the resources that the failed update replaced. They still exist; their replacements are deleted."""
        replaced, self._replaced = self._replaced, []
        for resource in replaced:
            current = self._live[resource.logical_resource_id]
            # Still the resource itself, if the making of its replacement has failed.
            if current is not resource:
                self._replaced.append(current)
            self._live[resource.logical_resource_id] = resource

    def _apply(self, template: dict[str, Any], *, rolled_back: bool = False) -> None:
        """Settle every resource of the template, then delete the replaced ones and those that it no longer has."""
        self._template, self._resource_json_map = template, template["Resources"]
        # CloudFormation's order: first make and update everything, so that nothing refers any more to what goes. Then
        # clean up, the last made first.
        wanted = [key for key, definition in self._resource_json_map.items() if self.is_wanted(definition)]
        for key in wanted:
            _ = self[key]
        for resource in reversed(self._replaced):
            if resource.policies.get("UpdateReplacePolicy", "Delete") == "Delete":
                self._drop(resource)
        self._replaced = []
        self.delete(rolled_back=rolled_back, but=wanted)

    def is_wanted(self, definition: dict[str, Any]) -> bool:
        """Whether the condition of the resource holds, if it has one."""
        return "Condition" not in definition or bool(self.lazy_condition_map[definition["Condition"]])

    def _settle(self, key: str, definition: dict[str, Any]) -> Resource:
        """The resource as the template wants it: left as it is, created, updated in place, or replaced.

        Raises ResourceError, which names the resource at fault."""
        if key in self._under_way:
            raise ResourceError(key, definition["Type"], f"circular reference {[*self._under_way, key]}")
        self._under_way.append(key)
        try:
            depends = definition.get("DependsOn", [])
            for other in [depends] if isinstance(depends, str) else depends:
                if self.is_wanted(self._resource_json_map[other]):
                    _ = self[other]
            properties = evaluate(definition.get("Properties", {}), self)
            resource = self._make(key, definition, properties)
        # A resource that this one refers to has failed: the error names that one already.
        except ResourceError:
            raise
        except Exception as error:
            raise ResourceError(key, definition["Type"], _reason(error)) from error
        finally:
            self._under_way.pop()
        # Moved to the end: the order of completion is the order of the references, and deletions reverse it.
        self._live.pop(key, None)
        self._live[key] = resource
        return resource

    def _make(self, key: str, definition: dict[str, Any], properties: dict[str, Any]) -> Resource:
        type_name = definition["Type"]
        kind, before = kind_of(type_name), self._live.get(key)
        policies = {name: str(definition[name]) for name in POLICIES if name in definition}
        # The evaluated properties are compared: a reference to a replaced resource has another value now, though the
        # text of the template is the same.
        is_put_again = self._reverts_drift and type_name in REVERTED
        if before and before.type == type_name and before.made.properties == properties and not is_put_again:
            return replace(before, policies=policies)
        if before and (before.type != type_name or kind.is_replaced(before.made.properties, properties)):
            self._replaced.append(before)
            before = None
        # A resource that is imported is not compared with the template, as on AWS: it is as if it had been made so.
        taken = Made(ref=self.imported[key], properties=properties) if key in self.imported else None
        try:
            made = kind.put(self._wanted(key, type_name, properties, before.made if before else taken))
        except Exception:
            # A part may have changed: the rollback sees these properties, and puts those of before again.
            if before:
                before.made = replace(before.made, properties=properties)
            raise
        if self._replaced and self._live.get(key) is self._replaced[-1] and self._replaced[-1].made.ref == made.ref:
            raise ValueError(f"{made.ref} is there already: what replaces it needs another name")
        made = replace(made, properties=properties)
        resource = Resource(logical_resource_id=key, type=type_name, made=made, policies=policies)
        self._record_event(resource, "UPDATE_COMPLETE" if before else "CREATE_COMPLETE")
        return resource

    def _wanted(self, key: str, type_name: str, properties: Mapping[str, Any], before: Made | None = None) -> Wanted:
        return Wanted(
            cloud=self.cloud,
            stack=self["AWS::StackName"],
            stack_id=self["AWS::StackId"],
            logical_id=key,
            type_name=type_name,
            properties=dict(properties),
            role_arn=getattr(self._stack(), "role_arn", None),
            before=before,
        )

    def _stack(self) -> Any:
        return moto_backend("cloudformation", self._region_name, account=self._account_id).stacks.get(self.stack_id)

    def _drop(self, resource: Resource) -> None:
        drop = kind_of(resource.type).drop
        if drop is None:
            return
        try:
            drop(self._wanted(resource.logical_resource_id, resource.type, resource.made.properties), resource.made)
        except Exception as error:
            raise ResourceError(resource.logical_resource_id, resource.type, _reason(error)) from error
        self._record_event(resource, "DELETE_COMPLETE")

    def _record_event(self, resource: Resource, status: str) -> None:
        """Add an event to the stack's events, which command lines count. AWS also records each beginning."""
        stack = self._stack()
        if stack is not None:
            recorded = event(stack, resource.logical_resource_id, resource.type, status, ref=resource.made.ref)
            stack.events.append(recorded)


def _is_kept(resource: Resource, *, rolled_back: bool) -> bool:
    """Whether a resource outlives its stack.

    One with `RetainExceptOnCreate` does not, if the operation that made it is rolled back."""
    policy = resource.policies.get("DeletionPolicy", "Delete")
    return policy == "Retain" or (policy == "RetainExceptOnCreate" and not rolled_back)


def _reason(error: Exception) -> str:
    # A KeyError's text is the bare key, so its type is added.
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)


def event(stack: Any, logical_id: str, type_name: str, status: str, *, reason: str | None = None, ref: str = "") -> Any:
    """An event of a stack in moto's form."""
    return models.Event(
        stack_id=stack.stack_id,
        stack_name=stack.name,
        logical_resource_id=logical_id,
        physical_resource_id=ref,
        resource_type=type_name,
        resource_status=status,
        resource_status_reason=reason,
        resource_properties=None,
    )
