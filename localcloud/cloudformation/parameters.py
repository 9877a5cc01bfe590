"""The values of a template's parameters, and what CloudFormation says of one that does not fit.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html. moto 5.2.5 takes any
value, and leaves out one that the template does not declare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from localcloud.cloudformation.resources.kind import as_text
from localcloud.kernel.cloud import moto_backend

Declared = Mapping[str, Mapping[str, Any]]
"""The section Parameters of a template."""

LISTS = ("CommaDelimitedList", "List<")
"""The beginnings of the types of lists."""
_BOUNDS: Mapping[str, tuple[Callable[[str, float], bool], str]] = {
    "MinValue": (lambda text, bound: float(text) < bound, "be a number not less than {}"),
    "MaxValue": (lambda text, bound: float(text) > bound, "be a number not greater than {}"),
    "MinLength": (lambda text, bound: len(text) < bound, "contain at least {} characters"),
    "MaxLength": (lambda text, bound: len(text) > bound, "contain at most {} characters"),
}


def with_defaults(declared: Declared, given: Mapping[str, str]) -> dict[str, str]:
    """The values that are given, and the defaults of the other parameters. The parts of a list are trimmed."""
    defaults = {key: as_text(one["Default"]) for key, one in declared.items() if "Default" in one}
    lists = {key for key, one in declared.items() if one["Type"].startswith(LISTS)}
    values = {**defaults, **given}
    return values | {key: ",".join(map(str.strip, values[key].split(","))) for key in lists & values.keys()}


def is_stored(name: str) -> bool:
    """Whether Systems Manager has a parameter of this name."""
    return moto_backend("ssm").get_parameter(name) is not None


def faults(declared: Declared, given: Mapping[str, str], stored: Callable[[str], bool] = is_stored) -> Iterator[str]:
    """What CloudFormation refuses of the values that are given. It names the first; here all of them are named.

    `stored` says whether Systems Manager has a parameter."""
    if unknown := sorted(given.keys() - declared.keys()):
        yield f"Parameters: [{', '.join(unknown)}] do not exist in the template"
    values = with_defaults(declared, given)
    if missing := sorted(declared.keys() - values.keys()):
        yield f"Parameters: [{', '.join(missing)}] must have values"
    for key in declared.keys() & values.keys():
        own = declared[key].get("ConstraintDescription")
        for fault in dict.fromkeys(_faults(declared[key], values[key])):
            yield f"Parameter {key} failed to satisfy constraint: {own}" if own else f"Parameter '{key}' must {fault}"
        if declared[key]["Type"].startswith("AWS::SSM::Parameter::") and not stored(values[key]):
            yield f"Unable to fetch parameters [{values[key]}] from parameter store for this account."


def _faults(declared: Mapping[str, Any], value: str) -> Iterator[str]:
    # Lists have one constraint for each of their values, but for a list that is kept in Systems Manager.
    kind = declared["Type"]
    for text in value.split(",") if kind.startswith(LISTS) else [value]:
        if "Number" in kind and not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text):
            yield "be a number"
            continue
        allowed, pattern = declared.get("AllowedValues"), declared.get("AllowedPattern")
        if allowed and text not in map(as_text, allowed):
            yield "be one of AllowedValues"
        with suppress(re.error):  # a form of Java's that Python does not know is not checked
            if pattern and not re.fullmatch(pattern, text):
                yield f"match pattern {pattern}"
        for name, (is_beyond, words) in _BOUNDS.items():
            if name in declared and is_beyond(text, float(declared[name])):
                yield words.format(declared[name])
