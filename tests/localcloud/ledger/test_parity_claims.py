"""What the ledger calls executed is tried: every comparison, context field, pattern operator and word of a state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.events.models import EventPattern

from localcloud.ledger import parity
from tests.localcloud.resources import Resources

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
SMALL = {"String": "a", "Numeric": 1, "Timestamp": EARLY}
LARGE = {"String": "b", "Numeric": 2, "Timestamp": LATE}
ORDERS = {
    "Equals": (SMALL, SMALL, LARGE),
    "LessThan": (LARGE, SMALL, LARGE),
    "LessThanEquals": (SMALL, SMALL, LARGE),
    "GreaterThan": (SMALL, LARGE, SMALL),
    "GreaterThanEquals": (LARGE, LARGE, SMALL),
}
"""The bound, a value that holds and one that does not; those with Equals are tried with the bound itself."""
TYPES = {
    "IsBoolean": (True, "x"),
    "IsNull": (None, "x"),
    "IsNumeric": (1.5, "1.5"),
    "IsString": ("x", 1),
    "IsTimestamp": (EARLY, "yesterday"),
}


def comparisons() -> dict[str, tuple[Any, Any, Any]]:
    """Operand, value that holds, value that does not, by comparison."""
    found: dict[str, tuple[Any, Any, Any]] = {name: (True, *values) for name, values in TYPES.items()}
    for kind in SMALL:
        for order, (bound, right, wrong) in ORDERS.items():
            found[f"{kind}{order}"] = (bound[kind], right[kind], wrong[kind])
    found |= {"BooleanEquals": (True, True, False), "StringMatches": ("log-*.txt", "log-1.txt", "log-1.csv")}
    return found | {
        f"{name}Path": ("$.operand", right, wrong)
        for name, (_, right, wrong) in found.items()
        if not name.startswith("Is") and name != "StringMatches"
    }


@pytest.fixture
def output(aws: Resources) -> Callable[..., Any]:
    """`output({"A": …}, {"x": 1})`: what a machine of these states says to that input; raises when it fails."""

    def run(steps: dict[str, Any], given: Any) -> Any:
        ended = aws.run(steps, given)
        assert ended["status"] == "SUCCEEDED", ended.get("cause")
        return json.loads(ended["output"])

    return run


def asked(rule: dict[str, Any]) -> dict[str, Any]:
    yes, no = ({"Type": "Pass", "Result": word, "End": True} for word in ("yes", "no"))
    return {"Ask": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}, "Yes": yes, "No": no}


def test_every_comparison_of_the_ledger_tells_right_from_wrong(output: Callable[..., Any]) -> None:
    """Each in a choice of its own, all in one machine: it goes on where the value holds, and not where it does not."""
    words = {name for name in parity.STATE_FIELDS if "Equals" in name or "Than" in name or name.startswith("Is")}
    known = comparisons()
    assert words - {"IsPresent", "ErrorEquals"} | {"StringMatches"} == set(known)
    steps: dict[str, Any] = {}
    given: dict[str, Any] = {}
    for name, (operand, right, wrong) in known.items():
        given[name] = {"right": right, "wrong": wrong, "operand": operand if not name.endswith("Path") else None}
        if name.endswith("Path"):
            given[name]["operand"] = known[name.removesuffix("Path")][0]
        written = f"$.{name}.operand" if name.endswith("Path") else operand
        holds = {"Variable": f"$.{name}.right", name: written}
        fails = {"Not": {"Variable": f"$.{name}.wrong", name: written}}
        steps[name] = {"Type": "Choice", "Choices": [{"And": [holds, fails]}], "Default": f"not {name}"}
    for name, following in zip(known, [*list(known)[1:], "Good"], strict=True):
        steps[name]["Choices"][0]["Next"] = following
        steps[f"not {name}"] = {"Type": "Fail", "Error": "Wrong", "Cause": name}
    steps["Good"] = {"Type": "Succeed"}
    assert output(steps, given) == given


@pytest.mark.parametrize(("given", "said"), [({"a": None}, "yes"), ({"b": 1}, "no")])
def test_presence_is_told(output: Callable[..., Any], given: Any, said: str) -> None:
    assert output(asked({"Variable": "$.a", "IsPresent": True}), given) == said


def test_every_context_field_of_the_ledger_has_a_value(output: Callable[..., Any]) -> None:
    fields = [name for name in parity.CONTEXT_FIELDS if name.startswith(("$$.Execution.", "$$.State"))]
    fields.remove("$$.State.RetryCount")  # of what can be retried
    told = {name.removeprefix("$$.").replace(".", " "): name for name in fields}
    steps = {"Tell": {"Type": "Pass", "Parameters": {f"{key}.$": path for key, path in told.items()}, "End": True}}
    said = output(steps, {"x": 1})
    assert set(said) == set(told)
    assert said["Execution Input"] == {"x": 1}
    assert (said["Execution RedriveCount"], said["State Name"]) == (0, "Tell")
    assert said["Execution Id"].endswith(said["Execution Name"])


def test_a_map_has_its_items_and_their_numbers(output: Callable[..., Any]) -> None:
    inner = {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}
    selector = {"number.$": "$$.Map.Item.Index", "value.$": "$$.Map.Item.Value", "all.$": "$.all"}
    step = {"Type": "Map", "ItemsPath": "$.items", "ItemSelector": selector, "ItemProcessor": inner, "End": True}
    said = output({"Each": {**step, "MaxConcurrency": 1}}, {"items": ["a", "b"], "all": 2})
    assert said == [{"number": 0, "value": "a", "all": 2}, {"number": 1, "value": "b", "all": 2}]


MATCHES: dict[str, tuple[Any, Any, Any]] = {
    "anything-but": ({"detail": {"a": [{"anything-but": ["x"]}]}}, {"a": "y"}, {"a": "x"}),
    "cidr": ({"detail": {"a": [{"cidr": "10.0.0.0/24"}]}}, {"a": "10.0.0.7"}, {"a": "10.0.1.7"}),
    "equals-ignore-case": ({"detail": {"a": [{"equals-ignore-case": "Ab"}]}}, {"a": "aB"}, {"a": "ac"}),
    "exists": ({"detail": {"a": [{"exists": True}]}}, {"a": "y"}, {"b": "y"}),
    "numeric": ({"detail": {"a": [{"numeric": [">", 1, "<=", 5]}]}}, {"a": 5}, {"a": 1}),
    "prefix": ({"detail": {"a": [{"prefix": "in/"}]}}, {"a": "in/x"}, {"a": "out/x"}),
    "suffix": ({"detail": {"a": [{"suffix": ".csv"}]}}, {"a": "x.csv"}, {"a": "x.txt"}),
    "wildcard": ({"detail": {"a": [{"wildcard": "in/*/x"}]}}, {"a": "in/7/x"}, {"a": "in/7/y"}),
    "$or": ({"detail": {"$or": [{"a": ["x"]}, {"b": ["x"]}]}}, {"b": "x"}, {"b": "y"}),
}


def test_every_pattern_operator_of_the_ledger_is_tried() -> None:
    assert set(MATCHES) == set(parity.PATTERN_OPERATORS)


@pytest.mark.parametrize("operator", MATCHES)
def test_a_pattern_matches_what_it_says_and_nothing_else(operator: str) -> None:
    pattern, right, wrong = MATCHES[operator]
    rule = EventPattern.load(json.dumps(pattern))
    assert [rule.matches_event({"source": "s", "detail": detail}) for detail in (right, wrong)] == [True, False]
