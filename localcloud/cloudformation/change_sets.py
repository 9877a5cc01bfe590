"""Change sets: what a deployment would do to a stack, kept until it is executed or deleted.

`cdk bootstrap`, `cdk deploy` by its default method, `cdk diff` and `aws cloudformation deploy` use change sets. moto
5.2.5 differs from AWS in these points, so its change sets are replaced until it does not:

- It finds a change set by its name across all stacks.
- It refuses a change set without changes. AWS makes one that has failed.
- It answers 500 if a change set is deleted that does not exist.
- It does not know a parameter's default as the parameter's previous value.
- It fails half way, without a word in the stack's events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from localcloud.cloudformation.intrinsics import references
from localcloud.cloudformation.preview import refuse
from localcloud.cloudformation.stack_resources import REVERTED, StackResources, exceptions, kind_of, models
from localcloud.cloudformation.stacks import fill, register_stack, update_parameters
from localcloud.kernel import patching

# Foresees what a change of a stack's template or parameters would do to each of its resources.


def foreseen(before: StackResources, after: StackResources) -> list[dict[str, Any]]:
    """A ResourceChange for each resource that would be added, modified or removed, judged by the templates.

    `Replacement` is `True`, `False` or `Conditional`. As on AWS it is `Conditional` if it depends on a reference, whose
    value is known only after the execution."""
    moved = {key for key, value in after.resolved_parameters.items() if before.resolved_parameters.get(key) != value}
    # A replaced resource gets another id. That changes all resources that refer to it, and may replace them in turn.
    # So begin with the parameters that changed, and add the replaced resources until nothing is added.
    while True:
        changes = list(_changes(before, after, moved))
        replaced = {one["LogicalResourceId"] for one in changes if one.get("Replacement", "False") != "False"}
        if replaced <= moved:
            return changes
        moved |= replaced


def _changes(before: StackResources, after: StackResources, moved: set[str]) -> Iterator[dict[str, Any]]:
    """The changes, if the parameters and resources in `moved` get other values."""
    live = {one.logical_resource_id: one for one in before.values()}
    was = {key: one for key, one in before.definitions.items() if key in live}
    for key, definition in after.definitions.items():
        if key not in was:
            yield _change("Add", key, definition["Type"])
            continue
        details = [_detail(name, definition) for name in _properties_moved(was[key], definition, moved)]
        if details or was[key] != definition:
            replacing = {one["Evaluation"] for one in details if one["Target"]["RequiresRecreation"] == "Always"}
            is_sure = was[key]["Type"] != definition["Type"] or "Static" in replacing
            replacement = "True" if is_sure else "Conditional" if replacing else "False"
            scope = ["Properties"] if details else ["Metadata"]
            more = {"Replacement": replacement, "Scope": scope, "Details": details}
            yield _change("Modify", key, definition["Type"], live[key], **more)
    for key in was.keys() - after.definitions.keys():
        yield _change("Remove", key, was[key]["Type"], live[key])


def _change(action: str, key: str, type_name: str, live: Any = None, **more: Any) -> dict[str, Any]:
    known = {"PhysicalResourceId": live.physical_resource_id} if live else {}
    own = {"Action": action, "LogicalResourceId": key, "ResourceType": type_name, "Scope": [], "Details": []}
    return own | known | more


def _properties_moved(was: Mapping[str, Any], now: Mapping[str, Any], moved: set[str]) -> Iterator[str]:
    """The properties whose text differs, or that refer to a name in `moved`."""
    old, new = was.get("Properties", {}), now.get("Properties", {})
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or references(new.get(name)) & moved:
            yield name


def _detail(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The change of one property, as DescribeChangeSet answers it."""
    fixed = kind_of(definition["Type"]).fixed
    recreated = "Always" if name in fixed or "*" in fixed else "Never"
    return {
        "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreated},
        "Evaluation": "Dynamic" if references(definition.get("Properties", {}).get(name)) else "Static",
        "ChangeSource": "DirectModification",
    }


responses: Any = import_module("moto.cloudformation.responses")

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


class ChangeSetNotFound(exceptions.CloudFormationError):  # type: ignore[misc]
    """AWS's answer if there is no such change set."""

    code = "ChangeSetNotFound"
    status_code = 404


@dataclass(kw_only=True)
class ChangeSet:
    """A change set: the input of CreateChangeSet, the changes that it foresees, and its status."""

    name: str
    arn: str
    stack: Any
    kind: str
    """`CREATE`, `UPDATE` or `IMPORT`."""
    template: str
    """The template as text."""
    parameters: dict[str, str]
    """All parameters of the request with their values, previous values included."""
    given: Mapping[str, Any]
    """The fields of the request. Description, Tags, Capabilities, NotificationARNs and DeploymentMode are used."""
    changes: list[dict[str, Any]]
    status: str = "CREATE_COMPLETE"
    execution_status: str = "AVAILABLE"
    reason: str | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def summary(self) -> dict[str, Any]:
        """The change set as ListChangeSets answers it."""
        return {
            "ChangeSetName": self.name,
            "ChangeSetId": self.arn,
            "StackName": self.stack.name,
            "StackId": self.stack.stack_id,
            "Status": self.status,
            "StatusReason": self.reason,
            "ExecutionStatus": self.execution_status,
            "CreationTime": self.made_at,
            "Description": self.given.get("Description"),
        }

    def described(self) -> dict[str, Any]:
        """The change set as DescribeChangeSet answers it."""
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        kept = {key: self.given.get(key) or [] for key in ("Tags", "Capabilities", "NotificationARNs")}
        changes = [{"Type": "Resource", "ResourceChange": change} for change in self.changes]
        mode = {"DeploymentMode": self.given["DeploymentMode"]} if self.reverts_drift else {}
        return {**self.summary(), **kept, **mode, "Parameters": parameters, "Changes": changes}

    @property
    def reverts_drift(self) -> bool:
        """Whether resources that people have changed beside the template become again what the template says."""
        return self.given.get("DeploymentMode") == "REVERT_DRIFT"

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.given.get("Tags") or []}


def create(backend: Any, given: Mapping[str, Any], template: str | None) -> ChangeSet:
    """A new change set. If its stack does not exist yet, a stack in REVIEW_IN_PROGRESS is registered, as on AWS.

    Raises moto's ValidationError for an unknown stack, an unknown type, a second creation, or a missing template."""
    name, kind = given["StackName"], given.get("ChangeSetType") or "UPDATE"
    stack = next((stack for stack in backend.stacks.values() if name in _words(stack)), None)
    is_there = stack is not None and stack.status != "REVIEW_IN_PROGRESS"
    if kind not in {"CREATE", "UPDATE", "IMPORT"}:
        raise exceptions.ValidationError(message=f"change sets of the type {kind} are not known to the local cloud")
    if kind == "UPDATE" and not is_there:
        raise exceptions.ValidationError(name)
    # An import into a stack that exists is not covered.
    if kind != "UPDATE" and is_there:
        raise exceptions.ValidationError(message=f"Stack [{name}] already exists and cannot be created again")
    if stack is not None:
        return _create(backend, stack, kind, given, template)
    stack = register_stack(backend, name, {}, {}, tags={}, role_arn=given.get("RoleARN"))
    # A change set that cannot be made must leave no stack behind.
    try:
        made = _create(backend, stack, kind, given, template)
    except Exception:
        del backend.stacks[stack.stack_id]
        raise
    stack.status = "REVIEW_IN_PROGRESS"
    stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
    return made


def _create(backend: Any, stack: Any, kind: str, given: Mapping[str, Any], template: str | None) -> ChangeSet:
    """A new change set of a stack that is registered. It replaces one with the same name."""
    text = stack.template if given.get("UsePreviousTemplate") == "true" else template
    if not text:
        raise exceptions.ValidationError(message="Either Template URL or Template Body must be specified.")
    wanted = models.Stack.parse_template(text)
    if kind == "IMPORT":
        _check_import(wanted["Resources"], given.get("ResourcesToImport") or [])
    parameters = update_parameters(backend, stack, given.get("Parameters") or [])
    refuse(wanted, parameters)
    after = _resources(stack, wanted, parameters)
    made = ChangeSet(
        name=given["ChangeSetName"],
        arn=models.generate_changeset_id(given["ChangeSetName"], backend.region_name, backend.account_id),
        stack=stack,
        kind=kind,
        template=text,
        parameters=parameters,
        given=given,
        changes=foreseen(stack.resource_map, after),
    )
    # As on AWS, a change set without changes is made, and has failed. `cdk deploy` reads that and says "no changes".
    of_stack = stack.template_dict, stack.resource_map.resolved_parameters, stack.tags
    if made.reverts_drift:
        made.changes += _reverted(stack, {change["LogicalResourceId"] for change in made.changes})
    elif kind == "UPDATE" and of_stack == (wanted, after.resolved_parameters, made.tags):
        made.status, made.execution_status, made.reason = "FAILED", "UNAVAILABLE", NO_CHANGES
    kept = _kept(backend)
    kept[:] = [other for other in kept if (other.stack, other.name) != (stack, made.name)] + [made]
    return made


def _check_import(resources: Mapping[str, Any], imported: list[dict[str, Any]]) -> None:
    """Raise ValidationError unless each resource of the template is imported, and has a deletion policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html"""
    if {one["LogicalResourceId"] for one in imported} != set(resources):
        raise exceptions.ValidationError(
            message="As part of the import operation, you cannot modify or add [Resources]"
        )
    if bare := sorted(key for key, one in resources.items() if "DeletionPolicy" not in one):
        message = f"Resources {bare} are missing the DeletionPolicy attribute in the template"
        raise exceptions.ValidationError(message=message)


def _reverted(stack: Any, changed: set[str]) -> list[dict[str, Any]]:
    """A ResourceChange for each resource that is put again. AWS lists only the resources that have drifted."""
    more = {"Replacement": "False", "Scope": ["Properties"]}
    return [
        _change("Modify", one.logical_resource_id, one.type, one, **more)
        for one in stack.resource_map.values()
        if one.type in REVERTED and one.logical_resource_id not in changed
    ]


def find(backend: Any, name: str, stack: str | None) -> ChangeSet:
    """The change set with this ARN, or with this name at the stack, which is named by its name or its ARN.

    Raises ChangeSetNotFound."""
    for change_set in _kept(backend):
        of_stack = stack is None or stack in (change_set.stack.name, change_set.stack.stack_id)
        if of_stack and name in (change_set.arn, change_set.name):
            return change_set
    raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")


def delete(backend: Any, name: str, stack: str | None) -> None:
    """Delete the change set. As on AWS it is no error if there is none."""
    kept = _kept(backend)
    kept[:] = [one for one in kept if not (name == one.arn or (name == one.name and stack in _words(one.stack)))]


def execute(backend: Any, change_set: ChangeSet) -> None:
    """Execute the change set. As on AWS, the other change sets of the stack are gone afterwards.

    Raises ValidationError if it has failed or was executed before."""
    if change_set.execution_status != "AVAILABLE":
        state = f"status [{change_set.status}], execution status [{change_set.execution_status}]"
        message = f"ChangeSet [{change_set.arn}] cannot be executed in its current {state}"
        raise exceptions.ValidationError(message=message)
    kept, stack = _kept(backend), change_set.stack
    kept[:] = [other for other in kept if other is change_set or other.stack is not stack]
    change_set.execution_status = "EXECUTE_COMPLETE"
    if change_set.kind == "UPDATE":
        with stack.resource_map.reverting_drift() if change_set.reverts_drift else nullcontext():
            stack.update(
                change_set.template,
                change_set.given.get("RoleARN"),
                parameters=change_set.parameters,
                tags=change_set.tags,
            )
        return
    # A stack in review has no template yet. It gets here what moto's creation of a stack would have given it, and is
    # then filled like any other.
    stack.template, stack.parameters, stack.tags = change_set.template, change_set.parameters, change_set.tags
    stack._parse_template()
    stack.resource_map = _resources(stack, stack.template_dict, stack.parameters)
    stack.output_map = stack._create_output_map()
    named = change_set.given.get("ResourcesToImport") or []
    imported = {one["LogicalResourceId"]: next(iter(one["ResourceIdentifier"].values())) for one in named}
    stack.resource_map.imported = imported
    fill(backend, stack)
    stack.resource_map.imported = {}
    if change_set.kind == "IMPORT":
        stack.status = f"IMPORT_{stack.status.removeprefix('CREATE_')}"


def _words(stack: Any) -> tuple[str, str]:
    """The two texts by which a request may name a stack: its name and its id."""
    return stack.name, stack.stack_id


def _kept(backend: Any) -> list[ChangeSet]:
    """The change sets of stacks that are still there."""
    # Kept on moto's backend, so that its reset forgets them together with the stacks.
    kept: list[ChangeSet] = backend.__dict__.setdefault("kept_change_sets", [])
    kept[:] = [one for one in kept if one.stack.stack_id in backend.stacks]
    return kept


def _resources(stack: Any, template: dict[str, Any], parameters: dict[str, str]) -> StackResources:
    """The resources of a template, with its parameters and conditions resolved. None of them is made."""
    made = StackResources(
        stack.stack_id,
        stack.name,
        parameters,
        stack.tags,
        account_id=stack.account_id,
        region_name=stack.region_name,
        template=template,
        cross_stack_resources=stack.cross_stack_resources,
    )
    made.load()
    return made


def _answer_create(self: Any) -> Any:
    url = self._get_param("TemplateURL")
    template = self._get_stack_from_s3_url(url) if url else self._get_param("TemplateBody")
    made = create(self.cloudformation_backend, self._get_params(), template)
    return responses.ActionResult({"Id": made.arn, "StackId": made.stack.stack_id})


def _answer(respond: Callable[..., dict[str, Any] | None]) -> Callable[[Any], Any]:
    """A method of moto's response that answers what `respond` makes of the backend, the change set and the stack."""
    return lambda self: responses.ActionResult(
        respond(self.cloudformation_backend, self._get_param("ChangeSetName"), self._get_param("StackName")) or {}
    )


def _listed(backend: Any, _: None, stack: str) -> dict[str, Any]:
    return {"Summaries": [one.summary() for one in _kept(backend) if stack in _words(one.stack)]}


def serve_change_sets() -> None:
    shapes = responses.CloudFormationResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER
    patching.replace(
        responses.CloudFormationResponse,
        create_change_set=_answer_create,
        describe_change_set=_answer(lambda *named: find(*named).described()),
        delete_change_set=_answer(delete),
        execute_change_set=_answer(lambda backend, *named: execute(backend, find(backend, *named))),
        list_change_sets=_answer(_listed),
        # moto changes this answer on its way, by rules for its own change sets: they are left out.
        RESPONSE_KEY_PATH_TO_TRANSFORMER={
            key: shape for key, shape in shapes.items() if not key.startswith("DescribeChangeSetOutput")
        },
    )
