"""The rooms as they are deployed: a stack holds its machine and what that calls, so that a run is in one room."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from millrace.contract.load import load_contract
from millrace.errors import FieldError
from millrace.infra.stacks import catalogue
from millrace.names import ROOMS
from millrace.workload.ends import Query
from millrace.workload.load import SUITE, load_workload
from millrace.workload.openapi import openapi
from tests.infra.conftest import role_statements

Templates = dict[str, dict[str, Any]]
CALLED = re.compile(r"arn:aws:(?:(?:lambda|iam):[^:]*:\d+):((?:function:|role/)[a-z0-9_-]+)")
"""Functions and roles in a machine's definition."""
NAMED = {"AWS::Lambda::Function": ("function:", "FunctionName"), "AWS::IAM::Role": ("role/", "RoleName")}


def elsewhere(templates: Templates) -> dict[str, set[str]]:
    """Functions and roles outside of the stack of every machine that uses them, and the stacks of these machines."""
    used: dict[str, set[str]] = {}
    there: dict[str, str] = {}
    for stack, template in templates.items():
        for resource in template["Resources"].values():
            if resource["Type"] in NAMED:
                prefix, name = NAMED[resource["Type"]]
                there[prefix + resource["Properties"][name]] = stack
            elif resource["Type"] == "AWS::StepFunctions::StateMachine":
                for called in CALLED.findall(json.dumps(resource["Properties"]["DefinitionString"])):
                    used.setdefault(called, set()).add(stack)
    assert used.keys() <= there.keys()
    assert len(used) > 15
    return {called: stacks for called, stacks in used.items() if there[called] not in stacks}


def test_who_removes_a_workload_knows_every_room() -> None:
    assert [room.room for room in catalogue.ROOMS] == [*ROOMS]
    assert ROOMS[-1] == "teardown"


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_a_machine_finds_its_functions_and_roles_in_its_own_stack(templates: dict[str, Templates], stage: str) -> None:
    assert elsewhere(templates[stage]) == {}


def test_only_upkeep_and_erasure_may_delete_more_than_manifests(templates: dict[str, Templates]) -> None:
    room = "millrace-prod-electricity-ingestion"
    deletable = [
        resource
        for role, statement in role_statements({room: templates["prod"][room]})
        if not role.endswith(("-upkeep", "-erasure")) and "s3:DeleteObject" in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert deletable
    assert all("/metadata/" in resource for resource in deletable)


def test_api_gateway_gets_the_document_with_rows_left_open(other_workloads: Path) -> None:
    template = json.loads((other_workloads / "millrace-dev-income-serving.template.json").read_text())
    (api,) = (one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::ApiGateway::RestApi")
    income = SUITE / "workloads" / "income"
    body, document = api["Body"], openapi(load_workload(income), load_contract(income))
    validate(body)
    assert list(body["paths"]) == list(document["paths"])
    document["components"]["schemas"]["Request"]["properties"]["rows"] = {"type": "array", "items": {"type": "object"}}
    assert body["components"]["schemas"]["Request"] == document["components"]["schemas"]["Request"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sql": "SELECT 1; DROP TABLE electricity_rows"},
        {"sql": "INSERT INTO electricity_rows SELECT 1"},
        {"sql": ""},
        {"feed": "objects"},
        {"tables": {"orders": "s3://shop/orders/"}},
        {"tables": {"shop.orders": "s3://shop/*/"}},
        {"tables": {"shop.orders": "s3://shop/orders"}},
    ],
)
def test_what_is_no_query_stops(wrong: dict[str, Any]) -> None:
    given = {"schedule": "rate(1 day)", "feed": "scoring", "sql": "WITH a AS (SELECT 1 AS x) SELECT x FROM a"}
    Query(**given)
    with pytest.raises((ValueError, FieldError)):
        Query(**given | wrong)
