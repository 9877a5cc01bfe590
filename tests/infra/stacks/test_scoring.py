"""The scoring room: the machine, what it may do, the table of predictions."""

import json
from typing import Any

import pytest

Templates = dict[str, dict[str, dict[str, Any]]]


def resources(templates: Templates, stage: str, kind: str) -> list[dict[str, Any]]:
    found = templates[stage][f"millrace-{stage}-electricity-scoring"]["Resources"].values()
    return [resource["Properties"] for resource in found if resource["Type"] == kind]


@pytest.fixture
def states(templates: Templates) -> dict[str, Any]:
    (machine,) = resources(templates, "prod", "AWS::StepFunctions::StateMachine")
    text = machine["DefinitionString"]
    parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
    return json.loads("".join(part if isinstance(part, str) else "key" for part in parts))["States"]


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
