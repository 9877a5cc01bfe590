"""The REST API of a workload: only where the stage declares it, from the workload's own document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from millrace.contract.load import load_contract
from millrace.infra.app import build
from millrace.infra.options import options_of
from millrace.infra.settings import settings_for
from millrace.names import Platform
from millrace.workload.load import load_workload
from millrace.workload.openapi import openapi
from tests.infra.conftest import ELECTRICITY

PREFIX = "millrace-prod-electricity"
LAKE = Platform(stage="prod", account="123456789012", region="eu-west-1").bucket("lake")
Templates = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The resources of the stacks of `prod` with an API, by stack."""
    return synthesized(ELECTRICITY, tmp_path_factory.mktemp("api"))


def synthesized(workload: Path, folder: Path) -> dict[str, dict[str, Any]]:
    options = options_of({"prod": {"api": {"requests_per_s": 20, "burst": 40}}}, "prod")
    settings = settings_for("prod", account="123456789012", region="eu-west-1", options=options)
    build(settings, workloads=[workload], outdir=str(folder)).synth()
    templates = {path.name.partition(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.template.json")}
    return {name: template["Resources"] for name, template in templates.items()}


def of_kind(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in resources.values() if one["Type"] == kind]


def test_the_api_is_in_two_stacks_and_nothing_else_changes(
    made: dict[str, dict[str, Any]], templates: Templates
) -> None:
    """The other stacks are as without it; in its own two it only adds."""
    before = {name: template["Resources"] for name, template in templates["prod"].items()}
    changed = {name for name in before if made[name] != before[name]}
    assert changed == {f"{PREFIX}-serving", "millrace-prod-platform"}
    # The tables wait for everything else of the platform, so for the role of the logs too.
    added = {one["Type"] for name in changed for key, one in made[name].items() if key not in before[name]}
    assert {kind for kind in added if kind.startswith("AWS::ApiGateway::")} == {
        f"AWS::ApiGateway::{kind}" for kind in ("Account", "Deployment", "RestApi", "Stage")
    }
    # What is there stays as it is, but the table of decisions, which names the callers, and the function with its role
    # and its layer: it reads decisions, of which absorbed ones are Parquet.
    other = [
        before[name][key]["Type"]
        for name in changed
        for key in before[name]
        if made[name].get(key, {}).get("Properties") != before[name][key].get("Properties")
    ]
    function = {f"AWS::Lambda::{kind}" for kind in ("Alias", "Function", "LayerVersion", "Version")}
    assert sorted(other) == ["AWS::Glue::Table", "AWS::IAM::Role", *sorted(function)]


def test_the_function_reads_decisions_and_where_there_is_a_policy_reviews(
    made: dict[str, dict[str, Any]], templates: Templates, tmp_path: Path
) -> None:
    """And nothing without the API."""
    without, plain = (
        rights(resources, "electricity")
        for resources in (templates["prod"][f"{PREFIX}-serving"]["Resources"], made[f"{PREFIX}-serving"])
    )
    found = rights(synthesized(ELECTRICITY.with_name("income"), tmp_path)["millrace-prod-income-serving"], "income")
    assert plain - without == reads("electricity")
    assert found >= reads("income")
    assert {one[0] for one in found - reads("income") if "review#income" in one[2]} == {
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
    }
    assert not [one for one in (*without, *plain) if "review#" in one[2]]


def reads(workload: str) -> set[tuple[str, str, str]]:
    lake, prefix = f"arn:aws:s3:::{LAKE}", f"{workload}/decisions/*"
    return {
        ("s3:GetObject", f"{lake}/{prefix}", "{}"),
        ("s3:ListBucket", lake, json.dumps({"StringLike": {"s3:prefix": [prefix]}})),
    }


def rights(resources: dict[str, Any], workload: str) -> set[tuple[str, str, str]]:
    """What the role of the prediction function may do: action, resource, condition."""
    name = f"millrace-prod-{workload}-prediction"
    (role,) = (one for one in of_kind(resources, "AWS::IAM::Role") if name in one["RoleName"])
    return {
        (action, str(arn), json.dumps(one.get("Condition", {})))
        for policy in role["Policies"]
        for one in policy["PolicyDocument"]["Statement"]
        for action in one["Action"]
        for arn in one["Resource"]
    }


def test_api_gateway_gets_the_document_with_rows_left_open(made: dict[str, dict[str, Any]]) -> None:
    (api,) = of_kind(made[f"{PREFIX}-serving"], "AWS::ApiGateway::RestApi")
    body, document = api["Body"], openapi(load_workload(ELECTRICITY), load_contract(ELECTRICITY))
    validate(body)
    assert list(body["paths"]) == list(document["paths"])
    request = body["components"]["schemas"]["Request"]
    assert request["properties"]["rows"]["items"] == {"type": "object"}
    document["components"]["schemas"]["Request"]["properties"]["rows"] = {"type": "array", "items": {"type": "object"}}
    assert request == document["components"]["schemas"]["Request"]
    for methods in body["paths"].values():
        for operation in methods.values():
            assert operation["security"] == [{"sigv4": []}]
            assert operation["x-amazon-apigateway-integration"]["uri"].endswith(":live/invocations")


def test_the_stage_logs_and_throttles(made: dict[str, dict[str, Any]]) -> None:
    (stage,) = of_kind(made[f"{PREFIX}-serving"], "AWS::ApiGateway::Stage")
    (settings,) = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (20, 40)
    assert settings["DataTraceEnabled"] is False, "rows are no matter of a log"
    assert set(json.loads(stage["AccessLogSetting"]["Format"])) >= {"caller", "status", "path"}
