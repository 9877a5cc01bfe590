"""The scoring room: the machine, what it may do, the table of predictions."""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.contract.load import load_contract
from millrace.messages.score import delivered_schema
from millrace.tasks.binary import Binary

Templates = dict[str, dict[str, dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[3]


def resources(templates: Templates, stage: str, kind: str) -> list[dict[str, Any]]:
    found = templates[stage][f"millrace-{stage}-electricity-scoring"]["Resources"].values()
    return [resource["Properties"] for resource in found if resource["Type"] == kind]


@pytest.fixture
def states(templates: Templates) -> dict[str, Any]:
    (machine,) = resources(templates, "prod", "AWS::StepFunctions::StateMachine")
    text = machine["DefinitionString"]
    parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
    return json.loads("".join(part if isinstance(part, str) else "key" for part in parts))["States"]


def test_the_transform_sends_each_shard_whole(states: dict[str, Any]) -> None:
    parameters = states["Transform"]["Parameters"]
    assert parameters["BatchStrategy"] == "SingleRecord"
    assert parameters["TransformInput"]["SplitType"] == parameters["TransformOutput"]["AssembleWith"] == "None"
    assert (
        parameters["TransformInput"]["ContentType"]
        == parameters["TransformOutput"]["Accept"]
        == "application/vnd.apache.arrow.stream"
    )


def test_the_largest_shard_fits_into_a_request(states: dict[str, Any], templates: Templates) -> None:
    functions = templates["prod"]["millrace-prod-electricity-ingestion"]["Resources"].values()
    (validation,) = [
        found["Properties"]["Environment"]["Variables"]
        for found in functions
        if found["Type"] == "AWS::Lambda::Function" and found["Properties"]["FunctionName"].endswith("-validation")
    ]
    shard_bytes, payload_mb = (
        int(validation["MILLRACE_SHARD_BYTES"]),
        states["Transform"]["Parameters"]["MaxPayloadInMB"],
    )
    assert shard_bytes < payload_mb * 2**20 <= 6 * 2**20


def test_rows_to_score_are_never_committed(states: dict[str, Any]) -> None:
    assert states["Feed"]["Result"] == "scoring"
    assert states["Feed"]["ResultPath"] == "$.detail.feed"
    assert [name for name, state in states.items() if state.get("Next") == "Ingestion"] == ["Feed", "Hold"]


def test_a_drop_is_held_while_there_is_no_champion(states: dict[str, Any]) -> None:
    (held,) = states["Champion?"]["Choices"]
    assert (held["Variable"], held["StringEquals"]) == ("$.ingestion.answer.outcome", "held")
    assert states[held["Next"]]["Type"] == "Wait"
    assert states[held["Next"]]["Next"] == "Ingestion"


def test_without_good_rows_nothing_is_transformed_but_delivered(states: dict[str, Any]) -> None:
    (empty,) = [choice for choice in states["Rows?"]["Choices"] if choice.get("NumericEquals") == 0]
    assert empty["Next"] == "Delivery"


def test_no_failure_is_caught_so_that_a_redrive_comes_back_to_it(states: dict[str, Any]) -> None:
    assert not [name for name, state in states.items() if "Catch" in state]
    every = [*states.values(), *(inner for state in states.values() if "ItemProcessor" in state
                                 for inner in state["ItemProcessor"]["States"].values())]  # fmt: skip
    assert all(state.get("Retry") for state in every if state["Type"] == "Task")


def test_no_role_may_be_passed(templates: Templates) -> None:
    assert "iam:PassRole" not in json.dumps(templates["prod"]["millrace-prod-electricity-scoring"])


def test_the_table_has_the_columns_of_a_delivered_file(templates: Templates) -> None:
    (table,) = [
        found["TableInput"]
        for found in resources(templates, "prod", "AWS::Glue::Table")
        if found["TableInput"]["Name"] == "electricity_predictions"
    ]
    schema = delivered_schema(load_contract(ROOT / "workloads" / "electricity"), Binary())
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == schema.names
    names = {"int64": "bigint", "int32": "int", "timestamp[us]": "timestamp"}
    assert [column["Type"] for column in table["StorageDescriptor"]["Columns"]] == [
        names.get(str(field.type), str(field.type)) for field in schema
    ]


def test_what_the_live_version_refuses_can_be_quarantined(templates: Templates) -> None:
    """A row may keep today's contract and not that of the version, in whatever workload."""
    policies = json.dumps(
        resources(templates, "prod", "AWS::IAM::Policy") + resources(templates, "prod", "AWS::IAM::Role")
    )
    written = [
        statement["Resource"]
        for policy in json.loads(policies)
        for document in (policy, *policy.get("Policies", []))
        for statement in document.get("PolicyDocument", {}).get("Statement", [])
        if "s3:PutObject" in statement["Action"]
    ]
    assert "electricity/quarantine/feed=scoring" in json.dumps(written)
