"""What the ledger calls executed is tried: every comparison, context field, pattern operator and word of a state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from localcloud.cloudformation.stack_resources import KINDS
from localcloud.iam.required_permissions.catalogue import SERVICES
from localcloud.ledger import parity
from localcloud.ledger.inventory import Feature, LedgerGapError, features
from localcloud.ledger.ledger import as_markdown, ledger, row_of
from localcloud.ledger.parity import Status
from tests.localcloud.resources import Resources

EVERY_TYPE = json.loads((Path(__file__).parents[1] / "templates" / "every_type.json").read_text())


@pytest.fixture
def assembly(tmp_path):
    def write(resources):
        (tmp_path / "One.template.json").write_text(json.dumps({"Resources": resources}))
        return tmp_path

    return write


def machine(states):
    definition = {"StartAt": "A", "States": states}
    joined = {"Fn::Join": ["", [json.dumps(definition).replace('"PARTITION', '"arn:'), ""]]}
    return {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": joined}}}


def names(template, group):
    return {feature.name for feature in features(template) if feature.group == group}


def test_every_type_that_can_be_deployed_has_a_row_and_no_other():
    covered = {kind for kind, (status, _) in parity.RESOURCE_TYPES.items() if status != Status.NOT_COVERED}
    assert covered == set(KINDS)
    lacking = set(parity.RESOURCE_TYPES) - covered
    assert all(name.startswith("AWS::SageMaker::Mlflow") for name in lacking), "those of a stage of an account alone"


def test_every_row_that_is_not_executed_says_what_differs():
    tables = [table for name, table in vars(parity).items() if name.isupper() and isinstance(table, dict)]
    rows = {name: row for table in tables for name, row in table.items()}
    assert len(rows) > 300
    for name, (status, difference) in rows.items():
        assert difference.endswith(".") or (status is Status.EXECUTED and not difference), name


def test_services_that_are_executed_have_their_resources_checked():
    prefixes = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
    checked = {prefixes.get(service, service) for service in SERVICES}
    executed = {name.partition(":")[0] for name, (status, _) in parity.CALLS.items() if status is Status.EXECUTED}
    assert executed <= checked, "their actions are allowed on `*` alone"


def test_a_whole_template_has_its_rows(assembly):
    found = ledger(assembly(EVERY_TYPE["Resources"]))
    status = {feature.name: row[0] for feature, row in found.items()}
    assert status["AWS::SQS::Queue"] is Status.EXECUTED
    assert status["AWS::EC2::VPC"] is Status.SIMULATED
    page = as_markdown(found)
    assert "| `AWS::S3::Bucket` | executed |" in page
    assert page.index("`AWS::EC2::VPC`") < page.index("`AWS::SQS::Queue`"), "what is not executed comes first"


def allowing(action, **condition):
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
    return {"P": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": statement}}}}


def task(name):
    return machine({"A": {"Type": "Task", "Resource": f"arn:aws:states:::{name}", "End": True}})


def rule(pattern):
    return {"R": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": pattern}}}


def queue(name):
    return {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}


@pytest.mark.parametrize(
    ("resources", "gap"),
    [
        ({"C": {"Type": "AWS::EKS::Cluster"}}, "resource type AWS::EKS::Cluster"),
        ({"Q": {"Type": "AWS::SQS::Queue", "CreationPolicy": {}}}, "template feature CreationPolicy"),
        ({"Q": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Snapshot"}}, "template feature DeletionPolicy Snapshot"),
        (queue({"Fn::Transform": {"Name": "AWS::Include"}}), "template feature Fn::Transform"),
        (
            {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"PolicyDocument": {"Statement": []}}}},
            "policy feature resource policy AWS::SQS::Queue",
        ),
        (machine({"A": {"Type": "Dance", "End": True}}), "state Dance"),
        (machine({"A": {"Type": "Pass", "Dances": "twice", "End": True}}), "state field Dances"),
        (
            machine({"A": {"Type": "Choice", "Choices": [{"Not": {"Variable": "$.a", "SoundsLike": "b"}}]}}),
            "state field SoundsLike",
        ),
        (
            machine({"A": {"Type": "Pass", "Parameters": {"a.$": "$$.Execution.Dance"}}}),
            "context field $$.Execution.Dance",
        ),
        (machine({"A": {"Type": "Pass", "Parameters": {"a.$": "States.Dance()"}}}), "intrinsic function States.Dance"),
        (task("ecs:runTask.sync"), "task ecs:runTask.sync"),
        (task("aws-sdk:omics:startRun"), "task aws-sdk:omics:startRun"),
        (task("aws-sdk:sagemaker:dance"), "task aws-sdk:sagemaker:dance"),
        (rule({"detail": {"key": [{"sounds-like": "x"}]}}), "event pattern operator sounds-like"),
        (rule({"$or": [{"detail": {"key": [{"sounds-like": "x"}]}}]}), "event pattern operator sounds-like"),
        (rule({"source": [{"anything-but": {"sounds-like": "x"}}]}), "event pattern operator sounds-like"),
        (allowing("bedrock:InvokeModel"), "call bedrock:InvokeModel"),
        (allowing("s3:Dance"), "call s3:Dance"),
        (allowing("s3:*"), r"call s3:*"),
        (allowing("s3:GetObject", StringEquals={"s3:ExistingObjectTag/x": "y"}), "condition key s3:ExistingObjectTag"),
        (allowing("s3:GetObject", SoundsLike={"s3:prefix": "y"}), "condition operator SoundsLike"),
    ],
)
def test_what_has_no_row_is_an_error_that_names_it(assembly, resources, gap):
    with pytest.raises(LedgerGapError, match=re.escape(gap)):
        ledger(assembly(resources))


def test_the_fields_of_an_event_are_no_operators():
    alarm = {"state": {"value": ["ALARM"]}, "previousState": {"value": [{"exists": False}]}}
    pattern = {"detail": {"$or": [alarm, {"run": [{"anything-but": {"prefix": "a"}}], "stage": ["dev", {"Ref": "P"}]}]}}
    template = {"Resources": rule(pattern)}
    assert names(template, "event pattern operator") == {"$or", "anything-but", "prefix", "exists"}


@pytest.mark.parametrize(
    ("section", "gap"),
    [
        ({"Transform": "AWS::Serverless-2016-10-31"}, "template feature Transform"),
        ({"Parameters": {"P": {"Type": "List<Dance>"}}}, "template feature parameter List<Dance>"),
        ({"Outputs": {"O": {"Value": {"Fn::Dance": []}}}}, "template feature Fn::Dance"),
    ],
)
def test_what_stands_beside_the_resources_is_looked_at_too(tmp_path, section, gap):
    (tmp_path / "One.template.json").write_text(json.dumps({"Resources": {}, **section}))
    with pytest.raises(LedgerGapError, match=re.escape(gap)):
        ledger(tmp_path)


def test_a_distributed_map_is_told_apart():
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "B", "States": {"B": {"Type": "Succeed"}}}
    branch = {"StartAt": "B", "States": {"B": {"Type": "Map", "ItemProcessor": processor, "End": True}}}
    template = {"Resources": machine({"A": {"Type": "Parallel", "Branches": [branch], "End": True}})}
    assert "Map (DISTRIBUTED)" in names(template, "state")
    assert row_of(Feature(group="state", name="Map (DISTRIBUTED)"))[0] is Status.NOT_COVERED


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
