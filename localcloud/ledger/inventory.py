"""Lists the features of a template that the ledger must know: resources, states, calls, elements of policies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.cloudformation.intrinsics import functions_in
from localcloud.ledger.parity import task_name


class LedgerGapError(Exception):
    """The assembly has features without a row in `localcloud.ledger.parity`, or features that cannot be read."""


@dataclass(frozen=True, kw_only=True, order=True)
class Feature:
    """A feature that a template uses."""

    group: str
    """One of `ledger.ROWS`."""
    name: str
    """The name within its group, such as `AWS::SQS::Queue`, `Retry` or `sqs:SendMessage`."""


def features(template: Mapping[str, Any]) -> Iterator[Feature]:
    """The features of one template. One that is used often comes often."""
    yield from (feature for _, feature in placed(template))
    for resource in template["Resources"].values():
        yield from _of_policies(resource["Type"], resource.get("Properties", {}))


def placed(template: Mapping[str, Any]) -> Iterator[tuple[str, Feature]]:
    """The features without those of policies, each with the section, parameter, condition, output or resource."""
    for section in template:
        yield section, Feature(group="template feature", name=section)
    for key, parameter in template.get("Parameters", {}).items():
        yield key, Feature(group="template feature", name=f"parameter {parameter['Type']}")
    for part in ("Resources", "Conditions", "Outputs"):
        for key, one in (template.get(part) or {}).items():
            for name, _ in functions_in(one):
                yield key, Feature(group="template feature", name=name)
    for key, resource in template["Resources"].items():
        yield from ((key, feature) for feature in _of_resource(resource))


REFUSED = {"AWS::Events::Rule": "ScheduleExpression", "AWS::Lambda::Function": "PackageType"}
"""Properties that the services here refuse, or cannot do: they are named with the template."""


def _of_resource(resource: Mapping[str, Any]) -> Iterator[Feature]:
    kind, properties = resource["Type"], resource.get("Properties", {})
    yield Feature(group="resource type", name=kind)
    for attribute, value in resource.items():
        if attribute in {"DeletionPolicy", "UpdateReplacePolicy"}:
            yield Feature(group="template feature", name=f"{attribute} {value}")
        elif attribute not in {"Type", "Properties"}:
            yield Feature(group="template feature", name=attribute)
    if (refused := REFUSED.get(kind)) and properties.get(refused, "Zip") != "Zip":
        yield Feature(group="template feature", name=f"{kind} {refused}")
    if kind == "AWS::StepFunctions::StateMachine":
        yield from features_of_machine(definition_of(properties))
    if kind == "AWS::Events::Rule":
        yield from _of_pattern(properties.get("EventPattern", {}))


def definition_of(properties: Mapping[str, Any], text_of: Callable[[Any], str] = lambda _: "0") -> dict[str, Any]:
    """A machine's definition, with what `text_of` makes of each function and placeholder of the template in it.

    Raises LedgerGapError if the template does not hold it, or if it is not JSON."""
    given = properties.get("DefinitionString", properties.get("Definition", "a parameter or an object of S3"))
    substitutions = properties.get("DefinitionSubstitutions", {})

    def filled(placeholder: re.Match[str]) -> str:
        return text_of(substitutions.get(placeholder[1], {"Fn::Sub": placeholder[0]}))

    def plain(value: Any) -> str:
        if isinstance(value, dict) and "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            return str(separator).join(plain(part) for part in parts)
        if isinstance(value, dict) and "Fn::Sub" in value:
            return plain(value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0])
        return re.sub(r"\$\{([^}]+)\}", filled, value) if isinstance(value, str) else text_of(value)

    # A function or a placeholder stands in quotes, or for a number: a number is right in both places.
    text = plain(json.dumps(given) if isinstance(given, Mapping) and "States" in given else given)
    try:
        definition: dict[str, Any] = json.loads(text)
        definition["States"]
    except (ValueError, KeyError, TypeError):
        raise LedgerGapError(f"expected a state machine's definition in the template, got {text[:80]}") from None
    return definition


def features_of_machine(definition: Mapping[str, Any]) -> Iterator[Feature]:
    """The features of a state machine's definition, those of the machines within its states too."""
    if "TimeoutSeconds" in definition:
        yield Feature(group="state", name="TimeoutSeconds")
    states = definition.get("States", {}).values()
    for part in (definition, *states):
        if part.get("QueryLanguage") == "JSONata":
            yield Feature(group="state", name="JSONata")
    for state in states:
        yield from _of_state(state)
    for field in definition:
        yield Feature(group="state field", name=field)
    # These stand inside of texts (`"x.$": "States.Format('{}', $$.Execution.Name)"`), so they are searched for in the
    # definition's own text.
    text = json.dumps(definition)
    for name in re.findall(r"States\.[A-Z]\w*(?=\()", text):
        yield Feature(group="intrinsic function", name=name)
    for name in re.findall(r"\$\$\.(?:Execution|State|StateMachine|Task|Map\.Item)\.\w+", text):
        yield Feature(group="context field", name=name)


def _of_state(state: Mapping[str, Any]) -> Iterator[Feature]:
    inner = state.get("ItemProcessor") or state.get("Iterator")
    mode = (inner or {}).get("ProcessorConfig", {}).get("Mode", "INLINE")
    yield Feature(group="state", name="Map (DISTRIBUTED)" if mode == "DISTRIBUTED" else str(state.get("Type")))
    for rule in (state, *state.get("Retry", []), *state.get("Catch", []), *_choices(state.get("Choices", []))):
        for field in rule:
            yield Feature(group="state field", name=field)
    for feature in ("Retry", "Catch", "TimeoutSeconds", "HeartbeatSeconds"):
        if feature in state:
            yield Feature(group="state", name=feature)
    if state.get("Type") == "Task":
        yield Feature(group="task", name=task_name(str(state.get("Resource"))))
    for part in [inner] if inner else state.get("Branches", []):
        yield from features_of_machine(part)


def _choices(rules: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The rules of a Choice, and the rules within their And, Or and Not."""
    for rule in rules:
        yield rule
        yield from _choices([*rule.get("And", []), *rule.get("Or", []), *([rule["Not"]] if "Not" in rule else [])])


def _of_pattern(pattern: Any) -> Iterator[Feature]:
    """The operators of an event pattern: `$or`, and the keys of the objects in its other lists.

    `{"detail": {"size": [{"numeric": [">", 0]}]}}` has the operator `numeric`."""
    if not isinstance(pattern, Mapping):
        return
    for key, value in pattern.items():
        if key == "$or":
            yield Feature(group="event pattern operator", name=key)
            # Its list holds patterns: their keys are fields of the event.
            for one in value:
                yield from _of_pattern(one)
        elif isinstance(value, list):
            yield from _operators(value)
        else:
            yield from _of_pattern(value)


def _operators(values: Iterable[Any]) -> Iterator[Feature]:
    # An operator may hold another one: `{"anything-but": {"prefix": "x"}}`.
    for one in values:
        if isinstance(one, Mapping) and not any(key == "Ref" or key.startswith("Fn::") for key in one):
            for name, value in one.items():
                yield Feature(group="event pattern operator", name=name)
                yield from _operators([value])


def _of_policies(kind: str, properties: Mapping[str, Any]) -> Iterator[Feature]:
    for feature, document in _documents(kind, properties):
        yield Feature(group="policy feature", name=feature)
        statements = document["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            yield from _of_statement(statement, calls=feature == "identity policy")


def _documents(kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The policy documents of a resource, each with its name as a feature: `identity policy`."""
    if kind == "AWS::IAM::Role":
        yield "trust policy", properties["AssumeRolePolicyDocument"]
        for policy in properties.get("Policies", []):
            yield "identity policy", policy["PolicyDocument"]
        if "PermissionsBoundary" in properties:
            yield "permissions boundary", {"Statement": []}
    elif kind in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
        yield "identity policy", properties["PolicyDocument"]
    elif kind == "AWS::KMS::Key":
        yield f"resource policy {kind}", properties["KeyPolicy"]
    elif kind == "AWS::Lambda::Permission":
        yield f"resource policy {kind}", {"Statement": []}
    elif kind == "AWS::ECR::Repository" and "RepositoryPolicyText" in properties:
        yield f"resource policy {kind}", properties["RepositoryPolicyText"]
    elif isinstance(properties.get("PolicyDocument"), dict):
        yield f"resource policy {kind}", properties["PolicyDocument"]
    elif isinstance(properties.get("PolicyDocument"), str):
        yield f"resource policy {kind}", json.loads(properties["PolicyDocument"])


def _of_statement(statement: Mapping[str, Any], *, calls: bool) -> Iterator[Feature]:
    for element in ("Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal"):
        if element in statement:
            yield Feature(group="policy feature", name=element)
    if statement["Effect"] == "Deny":
        yield Feature(group="policy feature", name="Deny")
    # Only the actions of identity policies are calls of ours, which the ledger must know.
    actions = statement.get("Action", [])
    for action in [actions] if isinstance(actions, str) else actions:
        if action == "iam:PassRole":
            yield Feature(group="policy feature", name=action)
        elif calls:
            yield Feature(group="call", name=action)
    for operator, keys in statement.get("Condition", {}).items():
        yield Feature(group="condition operator", name=operator)
        for key in keys:
            yield Feature(group="condition key", name=key)
