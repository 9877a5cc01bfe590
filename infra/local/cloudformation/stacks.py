"""CloudFormation's stack engine over the tables of `infra.local.cloudformation.resources`.

AWS creates, updates, replaces and deletes resources in the order of their references, tells which one failed and why,
and goes back to the state before. moto 5.2.5 skips the types it does not know, ignores most properties of those it
does, removes before it adds, looks only at the template's text (so that a replaced resource's new id never reaches
those that refer to it), forgets exports on update, and leaves a failed stack half made. Here every type goes through
the service's own API; a type or property that is not known raises by name.

moto keeps what lies around it: the CloudFormation API, conditions, parameters, outputs, events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from infra.local import patching
from infra.local.cloudformation.intrinsics import evaluate, references
from infra.local.cloudformation.resources import (
    functions,
    machines,
    messaging,
    network,
    observation,
    permissions,
    storage,
)
from infra.local.cloudformation.resources.kind import Kind, Made, Wanted

if TYPE_CHECKING:
    from infra.local.cloud import Cloud

models: Any = import_module("moto.cloudformation.models")
parsing: Any = import_module("moto.cloudformation.parsing")
exceptions: Any = import_module("moto.cloudformation.exceptions")

KINDS: Mapping[str, Kind] = {
    type_name: kind
    for table in (functions, machines, messaging, network, observation, permissions, storage)
    for type_name, kind in table.KINDS.items()
} | {"AWS::CDK::Metadata": Kind(put=lambda wanted: Made(ref=wanted.logical_id))}
"""Every resource type that a template may hold."""

POLICIES: tuple[str, ...] = ("DeletionPolicy", "UpdateReplacePolicy")


class ResourceError(Exception):
    """A resource could not be made, changed or deleted; the message says which one, of what type, and why."""

    def __init__(self, logical_id: str, type_name: str, reason: object) -> None:
        super().__init__(f"{logical_id} ({type_name}): {reason}")
        self.logical_id, self.type_name, self.reason = logical_id, type_name, str(reason)


@dataclass(kw_only=True)
class Resource:
    """A resource of a stack, with the attributes that moto's CloudFormation API reads."""

    logical_resource_id: str
    type: str
    made: Made
    policies: dict[str, str]
    """`DeletionPolicy` and `UpdateReplacePolicy`, where given."""

    @property
    def physical_resource_id(self) -> str:
        return self.made.ref

    def get_cfn_attribute(self, name: str) -> str:
        if name not in self.made.attributes:
            known = sorted(self.made.attributes)
            raise ValueError(f"{self.type} has no attribute {name!r} in the local cloud, it has {known}")
        return self.made.attributes[name]

    def is_created(self) -> bool:
        return True


class StackResources(parsing.ResourceMap):  # type: ignore[misc]
    """The resources of one stack: asking for one makes it, after those that it refers to or depends on."""

    cloud: ClassVar[Cloud]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._live: dict[str, Resource] = {}
        self._under_way: list[str] = []
        self._replaced: list[Resource] = []

    def __getitem__(self, key: str) -> Any:
        if key not in self._parsed_resources:
            definition = self._resource_json_map[key]
            condition = definition.get("Condition")
            if condition and not self.lazy_condition_map[condition]:
                raise KeyError(f"{key} is not part of this stack: its condition {condition} is false")
            self._parsed_resources[key] = self._settle(key, definition)
        return self._parsed_resources[key]

    def values(self) -> list[Any]:
        return list(self._live.values())

    def validate_outputs(self) -> None:
        """Outputs are checked when they are evaluated."""

    def create(self, template: dict[str, Any]) -> bool:
        self._apply(template)
        return True

    def update(self, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        self._template = template
        if parameters:
            self.input_parameters = parameters
        for key in [*self._live, *template.get("Parameters", {}), *template.get("Mappings", {})]:
            self._parsed_resources.pop(key, None)
        self.resolved_parameters: dict[str, Any] = {}
        self.load()
        self._apply(template)

    def delete(self) -> None:
        for resource in reversed(list(self._live.values())):
            if resource.policies.get("DeletionPolicy", "Delete") == "Delete":
                self._drop(resource)
            del self._live[resource.logical_resource_id]

    def creation_complete(self) -> bool:
        return True

    def _apply(self, template: dict[str, Any]) -> None:
        """Settle every resource of the template, then delete what was replaced and what it no longer holds."""
        self._template, self._resource_json_map = template, template["Resources"]
        for key, definition in self._resource_json_map.items():
            if definition["Type"] not in KINDS:
                raise ResourceError(key, definition["Type"], "the local cloud has no handler for this type")
        wanted = [key for key, definition in self._resource_json_map.items() if self._is_wanted(definition)]
        for key in wanted:
            _ = self[key]
        for resource in reversed(self._replaced):
            if resource.policies.get("UpdateReplacePolicy", "Delete") == "Delete":
                self._drop(resource)
        self._replaced = []
        for resource in reversed([self._live[key] for key in self._live if key not in wanted]):
            if resource.policies.get("DeletionPolicy", "Delete") == "Delete":
                self._drop(resource)
            del self._live[resource.logical_resource_id]

    def _is_wanted(self, definition: dict[str, Any]) -> bool:
        return "Condition" not in definition or bool(self.lazy_condition_map[definition["Condition"]])

    def _settle(self, key: str, definition: dict[str, Any]) -> Resource:
        """The resource as the template wants it: as it is, created, updated in place, or replaced."""
        if key in self._under_way:
            raise ResourceError(key, definition["Type"], f"circular reference {[*self._under_way, key]}")
        self._under_way.append(key)
        try:
            depends = definition.get("DependsOn", [])
            for other in [depends] if isinstance(depends, str) else depends:
                if self._is_wanted(self._resource_json_map[other]):
                    _ = self[other]
            properties = evaluate(definition.get("Properties", {}), self)
            resource = self._make(key, definition, properties)
        except ResourceError:
            raise
        except Exception as error:
            raise ResourceError(key, definition["Type"], _reason(error)) from error
        finally:
            self._under_way.pop()
        # Kept in the order of completion, which is the order of the references.
        self._live.pop(key, None)
        self._live[key] = resource
        return resource

    def _make(self, key: str, definition: dict[str, Any], properties: dict[str, Any]) -> Resource:
        type_name = definition["Type"]
        kind, before = KINDS[type_name], self._live.get(key)
        policies = {name: str(definition[name]) for name in POLICIES if name in definition}
        if before and before.type == type_name and before.made.properties == properties:
            return replace(before, policies=policies)
        if before and (before.type != type_name or kind.is_replaced(before.made.properties, properties)):
            self._replaced.append(before)
            before = None
        made = kind.put(self._wanted(key, properties, before.made if before else None))
        made = replace(made, properties=properties)
        return Resource(logical_resource_id=key, type=type_name, made=made, policies=policies)

    def _wanted(self, key: str, properties: Mapping[str, Any], before: Made | None = None) -> Wanted:
        return Wanted(
            cloud=self.cloud,
            stack=self["AWS::StackName"],
            stack_id=self["AWS::StackId"],
            logical_id=key,
            properties=dict(properties),
            before=before,
        )

    def _drop(self, resource: Resource) -> None:
        drop = KINDS[resource.type].drop
        if drop is None:
            return
        try:
            drop(self._wanted(resource.logical_resource_id, resource.made.properties), resource.made)
        except Exception as error:
            raise ResourceError(resource.logical_resource_id, resource.type, _reason(error)) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)


def _create_stack(self: Any, name: str, template: str, parameters: dict[str, Any], **settings: Any) -> Any:
    """The stack, complete or rolled back; the reason of a failure is in its events, as on AWS."""
    if any(stack.name == name for stack in self.stacks.values()):
        raise exceptions.AlreadyExistsException(f"Stack {name} already exists")
    stack = register_stack(self, name, template, parameters, **settings)
    fill(self, stack)
    return stack


def register_stack(backend: Any, name: str, template: Any, parameters: dict[str, Any], **settings: Any) -> Any:
    """A stack that is known and has no resource yet; an empty dictionary stands for a template to come."""
    stack = models.Stack(
        stack_id=models.generate_stack_id(name, backend.region_name, backend.account_id),
        name=name,
        template=template,
        parameters=parameters,
        account_id=backend.account_id,
        region_name=backend.region_name,
        **settings,
    )
    # moto replaces an empty dictionary by one of its own, and the first stack would never see an export.
    stack.cross_stack_resources = stack.resource_map.cross_stack_resources = backend.exports
    backend.stacks[stack.stack_id] = stack
    return stack


def fill(backend: Any, stack: Any) -> None:
    """Make what the template of a new stack holds, or nothing: a stack that fails goes back."""
    stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
    try:
        stack.create_resources()
        _export(backend, stack)
    except Exception as error:
        _tell(stack, error, "CREATE_FAILED")
        stack.resource_map.delete()
        stack.status = "ROLLBACK_COMPLETE"
        stack._add_stack_event(stack.status)


def _update(self: Any, template: str, _role: Any = None, parameters: Any = None, tags: Any = None) -> None:
    before, before_parameters = self.template_dict, dict(self.resource_map.input_parameters)
    self.status = "UPDATE_IN_PROGRESS"
    self._add_stack_event(self.status, resource_status_reason="User Initiated")
    try:
        self.template_dict = self.parse_template(template)
        self.resource_map.update(self.template_dict, parameters)
        self.output_map = self._create_output_map()
        _export(_backend(self), self)
    except Exception as error:
        _tell(self, error, "UPDATE_FAILED")
        self.template_dict = before
        self.resource_map.update(before, before_parameters)
        self.output_map = self._create_output_map()
        self.status = "UPDATE_ROLLBACK_COMPLETE"
        self._add_stack_event(self.status)
        return
    self.template, self.status = template, "UPDATE_COMPLETE"
    self.parameters = parameters or self.parameters
    self.tags = self.tags if tags is None else tags
    self._add_stack_event(self.status)


_all_outputs = models.Stack.outputs.fget


def _outputs(self: Any) -> Any:
    """None while a stack is under way or was rolled back: to ask for an output must not make a resource."""
    complete = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
    return _all_outputs(self) if self.status in complete else None


def _delete_stack(self: Any, name_or_stack_id: str) -> None:
    """Nothing is said of a stack that does not exist; what cannot be deleted stays, the stack is DELETE_FAILED."""
    for stack in list(self.stacks.values()):
        if name_or_stack_id not in (stack.name, stack.stack_id):
            continue
        names = [name for name, export in self.exports.items() if export.exporting_stack_id == stack.stack_id]
        try:
            stack.delete()
        except Exception as error:
            _tell(stack, error, "DELETE_FAILED")
            stack.status = "DELETE_FAILED"
            return
        for name in names:
            del self.exports[name]
        self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)


def _backend(stack: Any) -> Any:
    return models.cloudformation_backends[stack.account_id][stack.region_name]


def _tell(stack: Any, error: Exception, status: str) -> None:
    """Put the failed resource and its reason among the events, where clients look for them."""
    whole = ResourceError(stack.name, "AWS::CloudFormation::Stack", error)
    failed = error if isinstance(error, ResourceError) else whole
    event = models.Event(
        stack_id=stack.stack_id,
        stack_name=stack.name,
        logical_resource_id=failed.logical_id,
        physical_resource_id="",
        resource_type=failed.type_name,
        resource_status=status,
        resource_status_reason=failed.reason,
        resource_properties=None,
    )
    stack.events.append(event)


def _export(backend: Any, stack: Any) -> None:
    """Make the stack's exports known; those of another stack by the same name are an error."""
    mine = {export.name: export for export in stack.exports}
    for name, export in list(backend.exports.items()):
        if export.exporting_stack_id == stack.stack_id and name not in mine:
            del backend.exports[name]
        elif name in mine and export.exporting_stack_id != stack.stack_id:
            raise ValueError(f"export {name} exists already, made by {export.exporting_stack_id}")
    backend.exports.update(mine)


def _update_parameters(_: Any, instance: Any, incoming_params: list[dict[str, Any]]) -> dict[str, str]:
    """moto looks a previous value up among the given ones only; it may be the template's default."""
    declared = instance.template_dict.get("Parameters", {})
    defaults = {key: value["Default"] for key, value in declared.items() if "Default" in value}
    previous = defaults | instance.parameters
    return {
        one["ParameterKey"]: one.get("ParameterValue", previous.get(one["ParameterKey"], "")) for one in incoming_params
    }


def _refuse_same(_: Any, incoming_params: list[dict[str, Any]], stack_body: str, old_stack: Any) -> None:
    """moto compares only when parameters are given."""
    given = {one["ParameterKey"]: one.get("ParameterValue") for one in incoming_params or []}
    before = old_stack.resource_map.input_parameters
    same = all(value is None or before.get(key) == value for key, value in given.items())
    if same and _parse_template(stack_body) == old_stack.template_dict:
        raise exceptions.ValidationError(old_stack.name, message="No updates are to be performed.")


def _parse_template(template: str) -> dict[str, Any]:
    """JSON is tried first: moto's YAML parser takes a second per 100 kB."""
    try:
        parsed: dict[str, Any] = json.loads(template)
    except ValueError:
        parsed = _parse_yaml(template)
    return parsed


_parse_yaml = models.Stack.parse_template


def install(cloud: Cloud) -> None:
    StackResources.cloud = cloud
    patching.replace(models, ResourceMap=StackResources)
    patching.replace(
        parsing,
        clean_json=evaluate,
        get_references_from_template=lambda template: sorted(references(template)),
    )
    patching.replace(
        models.Stack, parse_template=staticmethod(_parse_template), update=_update, outputs=property(_outputs)
    )
    patching.replace(
        models.CloudFormationBackend,
        create_stack=_create_stack,
        delete_stack=_delete_stack,
        _resolve_update_parameters=_update_parameters,
    )
    responses: Any = import_module("moto.cloudformation.responses")
    patching.replace(responses.CloudFormationResponse, _validate_different_update=_refuse_same)
    # moto writes an access log object, and its event, inside every request of a bucket with logging.
    buckets: Any = import_module("moto.s3.models")
    patching.replace(buckets.S3Backend, log_incoming_request=lambda *_, **__: None)
