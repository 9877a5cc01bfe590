"""Evaluates CloudFormation's intrinsic functions against a stack's resources.

The functions that CDK writes are known; any other raises an error that names it. moto 5.2.5 differs from AWS in these
points, and the module may go when it does not:

- It answers `Fn::GetAZs` for us-east-1 in every region.
- It leaves `{{resolve:ssm:…}}` as text.
- It keeps `AWS::NoValue` in lists.
- It evaluates a condition function within another as if it were a value.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
"""`${Name}` or `${Name.Attribute}`. `${!Name}` stands for the text `${Name}` itself."""
_DYNAMIC = re.compile(r"\{\{resolve:(\w[\w-]*):([^}]+)\}\}")
"""A dynamic reference: `{{resolve:ssm:/cdk-bootstrap/hnb659fds/version}}`.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html"""


class NoValue:
    """The value of `AWS::NoValue`. A property or list item with this value is left out."""


NO_VALUE = NoValue()


def evaluate(value: Any, resources: Any) -> Any:
    """`value` with every intrinsic function replaced by its result; `resources` is the stack's resource map.

    To evaluate a reference makes the resource that it names. Raises ValueError for an unknown function, and KeyError
    for a reference to nothing."""
    if isinstance(value, dict):
        # A function is an object with one member. Among several members, `Ref` and `Fn::…` are plain names.
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                if name not in _FUNCTIONS:
                    raise ValueError(f"intrinsic function {name} is not known to the local cloud")
                return _FUNCTIONS[name](argument, resources)
        evaluated = {key: evaluate(item, resources) for key, item in value.items()}
        return {key: item for key, item in evaluated.items() if item is not NO_VALUE}
    if isinstance(value, list):
        return [item for item in (evaluate(item, resources) for item in value) if item is not NO_VALUE]
    if isinstance(value, str) and "{{resolve:" in value:
        return _DYNAMIC.sub(lambda match: _dynamic(match, resources), value)
    return value


def holds(condition: Any, resources: Any, conditions: Mapping[str, Any]) -> bool:
    """Whether a condition is true. `conditions` has the conditions of its template by name.

    Raises ValueError for a function that conditions do not have."""
    ((name, argument),) = condition.items()
    match name:
        case "Condition":
            return bool(conditions[argument])
        case "Fn::Equals":
            first, second = (_text(value) for value in evaluate(argument, resources))
            return first == second
        case "Fn::Not":
            return not holds(argument[0], resources, conditions)
        case "Fn::And":
            return all(holds(each, resources, conditions) for each in argument)
        case "Fn::Or":
            return any(holds(each, resources, conditions) for each in argument)
    raise ValueError(f"condition function {name} is not known to the local cloud, it has {sorted(CONDITIONS)}")


def functions_in(value: Any) -> Iterator[tuple[str, Any]]:
    """The functions in a part of a template, each with its argument: `("Ref", "Queue")`.

    As CloudFormation does: the one member of an object may be a function, several members are plain names."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            yield from ((name, one) for name, one in value.items() if name == "Ref" or name.startswith("Fn::"))
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from functions_in(one)


def references(value: Any) -> set[str]:
    """The names of resources and parameters to which `value` refers, by `Ref`, `Fn::GetAtt` or `Fn::Sub`."""
    found = set()
    for name, argument in functions_in(value):
        if name == "Ref" and isinstance(argument, str):
            found.add(argument)
        elif name == "Fn::GetAtt":
            found.add(argument.split(".")[0] if isinstance(argument, str) else argument[0])
        elif name == "Fn::Sub":
            text = argument if isinstance(argument, str) else argument[0]
            found |= {one.split(".")[0] for literal, one in _PLACEHOLDER.findall(text) if not literal}
    return found


def _ref(name: Any, resources: Any) -> Any:
    if name == "AWS::NoValue":
        return NO_VALUE
    # A resource gives its physical id, a parameter its value.
    found = resources[name]
    return getattr(found, "physical_resource_id", found)


def _get_att(argument: Any, resources: Any) -> Any:
    name, _, attribute = argument.partition(".") if isinstance(argument, str) else (argument[0], "", argument[1])
    return resources[name].get_cfn_attribute(evaluate(attribute, resources))


def _sub(argument: Any, resources: Any) -> str:
    template, given = (argument, {}) if isinstance(argument, str) else argument
    values = {key: evaluate(value, resources) for key, value in given.items()}

    def replace(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        if name in values:
            return str(values[name])
        return str(_get_att(name, resources) if "." in name else _ref(name, resources))

    return _PLACEHOLDER.sub(replace, template)


def _join(argument: Any, resources: Any) -> str:
    separator, parts = argument
    return str(separator).join(_text(part) for part in evaluate(parts, resources))


def _text(part: Any) -> str:
    # CloudFormation writes `true`, where `str` would write `True`.
    return json.dumps(part) if isinstance(part, bool) else str(part)


def _select(argument: Any, resources: Any) -> Any:
    index, items = evaluate(argument, resources)
    return items[int(index)]


def _if(argument: Any, resources: Any) -> Any:
    condition, then, otherwise = argument
    return evaluate(then if resources.lazy_condition_map[condition] else otherwise, resources)


def _find_in_map(argument: Any, resources: Any) -> Any:
    name, first, second = (evaluate(part, resources) for part in argument[:3])
    return resources[name][first][second]


def _import_value(argument: Any, resources: Any) -> Any:
    name = evaluate(argument, resources)
    if name not in resources.cross_stack_resources:
        raise KeyError(f"no export named {name}")
    return resources.cross_stack_resources[name].value


def _zones(argument: Any, resources: Any) -> list[str]:
    region = evaluate(argument, resources) or resources["AWS::Region"]
    return [f"{region}{letter}" for letter in "abc"]


def _dynamic(match: re.Match[str], resources: Any) -> str:
    """The text of a parameter of Systems Manager or of a secret."""
    service, rest = match.groups()
    if service in {"ssm", "ssm-secure"}:
        return str(resources.parse_ssm_parameter(rest.split(":")[0], "String"))
    name, _, part = rest.partition(":")
    if service == "secretsmanager" and part in {"", "SecretString"}:
        import boto3

        client = boto3.client("secretsmanager", region_name=resources["AWS::Region"])
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    raise ValueError(f"dynamic reference {{{{resolve:{service}:{rest}}}}} is not known to the local cloud")


_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": lambda argument, resources: str(evaluate(argument[1], resources)).split(argument[0]),
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::ImportValue": _import_value,
    "Fn::GetAZs": _zones,
    "Fn::Base64": lambda argument, resources: base64.b64encode(str(evaluate(argument, resources)).encode()).decode(),
}
CONDITIONS = frozenset({"Condition", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or"})
"""The functions that a condition may use."""
KNOWN = frozenset(_FUNCTIONS)
"""The functions that the other parts of a template may use."""
