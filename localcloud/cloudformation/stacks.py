"""The stack engine: creates, updates, rolls back and deletes stacks.

`stack_resources.py` makes their resources, by the tables of `localcloud.cloudformation.resources`. moto keeps the API,
the parameters and the events. The engine of moto 5.2.5 differs from AWS in these points:

- It ignores most properties.
- It removes resources before it adds others.
- It compares only the template's text. So the new id of a replaced resource never reaches those that refer to it.
- It forgets exports on an update.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import yaml

from localcloud.cloudformation.intrinsics import evaluate, holds, references
from localcloud.cloudformation.parameters import with_defaults
from localcloud.cloudformation.preview import NOT_COVERED, refuse
from localcloud.cloudformation.stack_resources import ResourceError, StackResources, event, exceptions, models, parsing
from localcloud.kernel import patching
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.ledger.ledger import gaps

MOST_BYTES = 51_200
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html, for a template in a
request; a larger one comes by its place in a bucket."""


def _create_stack(self: Any, name: str, template: str, parameters: dict[str, Any], **settings: Any) -> Any:
    """A new stack, complete or rolled back. As on AWS, the reason of a failure is in its events.

    Raises AlreadyExistsException if there is a stack with this name."""
    if any(stack.name == name for stack in self.stacks.values()):
        raise exceptions.AlreadyExistsException(f"Stack {name} already exists")
    refuse(_parse_template(template), parameters)
    stack = register_stack(self, name, template, parameters, **settings)
    fill(self, stack)
    return stack


def register_stack(backend: Any, name: str, template: Any, parameters: dict[str, Any], **settings: Any) -> Any:
    """A stack that moto knows and that has no resource yet. Until a template comes, it is an empty dictionary."""
    stack = models.Stack(
        stack_id=models.generate_stack_id(name, backend.region_name, backend.account_id),
        name=name,
        template=template,
        parameters=parameters,
        account_id=backend.account_id,
        region_name=backend.region_name,
        **settings,
    )
    # While the backend has no exports, moto gives the stack an empty dictionary of its own. So the first stack would
    # never see an export.
    stack.cross_stack_resources = stack.resource_map.cross_stack_resources = backend.exports
    backend.stacks[stack.stack_id] = stack
    return stack


def fill(backend: Any, stack: Any) -> None:
    """Make the resources of a new stack. If one fails, all of them are deleted again, but for imported ones."""
    stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
    try:
        stack.create_resources()
        _export(backend, stack)
    except Exception as error:
        _record_event(stack, error, "CREATE_FAILED")
        stack.resource_map.delete(rolled_back=True)
        stack.status = "ROLLBACK_COMPLETE"
        stack._add_stack_event(stack.status)


def _update(self: Any, template: str, role_arn: str | None = None, parameters: Any = None, tags: Any = None) -> None:
    """Update the stack, or roll it back. Takes the place of moto's `Stack.update`."""
    before, before_parameters = self.template_dict, dict(self.resource_map.input_parameters)
    # As on AWS, what is refused of the request changes nothing.
    refuse(self.parse_template(template), parameters or {})
    self.role_arn = role_arn or self.role_arn
    self.status = "UPDATE_IN_PROGRESS"
    self._add_stack_event(self.status, resource_status_reason="User Initiated")
    try:
        self.template_dict = self.parse_template(template)
        self.resource_map.update(self.template_dict, parameters)
        self.output_map = self._create_output_map()
        _export(moto_backend("cloudformation", self.region_name, account=self.account_id), self)
    except Exception as error:
        # A rollback is an update to the former template: what was made goes, and what was changed is changed back.
        _record_event(self, error, "UPDATE_FAILED")
        self.template_dict = before
        self.resource_map.update(before, before_parameters, rolled_back=True)
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
    """The outputs of a complete stack, else None.

    To evaluate an output makes the resource that it names. So an incomplete stack must not be asked."""
    complete = {"CREATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
    return _all_outputs(self) if self.status in complete else None


def _parameter_list(self: Any) -> list[dict[str, str]]:
    """The parameters as they were given.

    moto answers a list in Python's syntax, which the next `cdk bootstrap` would then give back."""
    given = self.resource_map.input_parameters
    listed = []
    for key, declared in self.template_dict.get("Parameters", {}).items():
        value = "****" if declared.get("NoEcho") else str(given.get(key, declared.get("Default", "")))
        listed.append({"ParameterKey": key, "ParameterValue": value})
        if declared["Type"].startswith("AWS::SSM::"):
            listed[-1]["ResolvedValue"] = str(self.resource_map.resolved_parameters[key])
    return listed


def _delete_stack(self: Any, name_or_stack_id: str) -> None:
    """Delete the stack; it is no error if there is none. A stack whose deletion fails is DELETE_FAILED."""
    for stack in list(self.stacks.values()):
        if name_or_stack_id not in (stack.name, stack.stack_id):
            continue
        # The exports go last: a stack whose deletion fails keeps them.
        names = [name for name, export in self.exports.items() if export.exporting_stack_id == stack.stack_id]
        try:
            stack.delete()
        except Exception as error:
            _record_event(stack, error, "DELETE_FAILED")
            stack.status = "DELETE_FAILED"
            return
        for name in names:
            del self.exports[name]
        self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)


def _record_event(stack: Any, error: Exception, status: str) -> None:
    """Put the failed resource and the reason among the stack's events, where clients look for them."""
    whole = ResourceError(stack.name, "AWS::CloudFormation::Stack", error)
    failed = error if isinstance(error, ResourceError) else whole
    stack.events.append(event(stack, failed.logical_id, failed.type_name, status, reason=failed.reason))


def _export(backend: Any, stack: Any) -> None:
    """Make the stack's exports known, and drop those that it no longer has.

    Raises ValueError if another stack has an export with the same name, and what moto raises for an output that cannot
    be evaluated: else moto would show no outputs at all."""
    dict(stack.output_map)
    mine = {export.name: export for export in stack.exports}
    for name, export in list(backend.exports.items()):
        if export.exporting_stack_id == stack.stack_id and name not in mine:
            del backend.exports[name]
        elif name in mine and export.exporting_stack_id != stack.stack_id:
            raise ValueError(f"export {name} exists already, made by {export.exporting_stack_id}")
    backend.exports.update(mine)


def update_parameters(_: Any, instance: Any, incoming_params: list[dict[str, Any]]) -> dict[str, str]:
    """The values of the parameters of an update; one without a value keeps its previous one.

    That may be the template's default. moto looks only among the values that were given. `instance` is the stack."""
    declared = instance.template_dict.get("Parameters", {})
    previous = with_defaults(declared, instance.parameters)
    return {
        one["ParameterKey"]: one.get("ParameterValue", previous.get(one["ParameterKey"], "")) for one in incoming_params
    }


def _refuse_same(_: Any, incoming_params: list[dict[str, Any]], stack_body: str, old_stack: Any) -> None:
    """Raise ValidationError if neither the template nor a parameter changes.

    moto compares them only if parameters are given."""
    given = {one["ParameterKey"]: one.get("ParameterValue") for one in incoming_params or []}
    before = old_stack.resource_map.input_parameters
    same = all(value is None or before.get(key) == value for key, value in given.items())
    if same and _parse_template(stack_body) == old_stack.template_dict:
        raise exceptions.ValidationError(old_stack.name, message="No updates are to be performed.")


def _short_body(response: Any, name: str, if_none: Any = None) -> Any:
    """The parameter of a request. Raises ValidationError for a template of more bytes than a request may have."""
    found = import_module("moto.core.responses").BaseResponse._get_param(response, name, if_none)
    if name == "TemplateBody" and len((found or "").encode()) > MOST_BYTES:
        expected = f"Member must have length less than or equal to {MOST_BYTES}"
        raise exceptions.ValidationError(message=f"Value at 'templateBody' failed to satisfy constraint: {expected}")
    return found


def _parse_template(text: str) -> dict[str, Any]:
    """The template as a dictionary. JSON is tried first, which is read faster.

    Raises ValidationError, which names all that is not covered: nothing of such a template is made."""
    try:
        template: dict[str, Any] = json.loads(text)
    except ValueError:
        template = _Loader(text).get_single_data()
    if lacking := gaps(template):
        raise exceptions.ValidationError(message=f"{NOT_COVERED}{'; '.join(lacking)}")
    return template


class _Loader(yaml.SafeLoader):
    """Reads YAML with the short forms of functions, and dates as text: `Version: 2012-10-17` of a policy is no date.

    moto 5.2.5 makes dates of them, which no policy may hold."""

    def short_form(self, name: str, node: Any) -> dict[str, Any]:
        """`!GetAtt Queue.Arn` is `{"Fn::GetAtt": ["Queue", "Arn"]}`, `!Ref Queue` is `{"Ref": "Queue"}`."""
        construct = getattr(self, f"construct_{node.id}")
        value: Any = construct(node) if node.id == "scalar" else construct(node, deep=True)
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _Loader.short_form)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def replace_engine(cloud: Cloud) -> None:
    # moto makes the resources of a stack as `ResourceMap(…)`, without the cloud: so the class gets it.
    StackResources.cloud = cloud
    patching.replace(models, ResourceMap=StackResources)
    patching.replace(
        parsing,
        clean_json=evaluate,
        parse_condition=holds,
        get_references_from_template=lambda template: sorted(references(template)),
    )
    patching.replace(
        models.Stack,
        parse_template=staticmethod(_parse_template),
        update=_update,
        outputs=property(_outputs),
        parameter_list=property(_parameter_list),
    )
    patching.replace(
        models.CloudFormationBackend,
        create_stack=_create_stack,
        delete_stack=_delete_stack,
        _resolve_update_parameters=update_parameters,
        # moto asks cfn-lint, if that is there.
        validate_template=lambda _, template: _parse_template(template) and [],
    )
    responses: Any = import_module("moto.cloudformation.responses")
    patching.replace(responses.CloudFormationResponse, _validate_different_update=_refuse_same, _get_param=_short_body)
    # moto writes an object for the access log, and sends its event, inside every request to a bucket with access logs.
    # May go when moto writes access logs apart from the requests.
    buckets: Any = import_module("moto.s3.models")
    patching.replace(buckets.S3Backend, log_incoming_request=lambda *_, **__: None)
