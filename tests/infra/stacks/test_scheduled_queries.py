"""A declared query has a schedule, and a machine that reads and writes what is declared alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.errors import FieldError
from millrace.names import QUERY
from millrace.workload.ends import Query
from tests.infra.machines.contexts import QUERIES
from tests.infra.stacks.test_consumers import NAMES, named

LAKE, LANDING = NAMES.platform.bucket_arn("lake"), NAMES.platform.bucket_arn("landing")


@pytest.fixture(scope="module")
def resources(other_workloads: Path) -> list[dict[str, Any]]:
    template = json.loads((other_workloads / f"{NAMES.stack('ingestion')}.template.json").read_text())
    return list(template["Resources"].values())


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in resources if one["Type"] == kind]


def test_each_query_has_its_schedule(resources: list[dict[str, Any]]) -> None:
    for name, query in QUERIES.items():
        schedule = named(of_type(resources, "AWS::Scheduler::Schedule"), "Name", f"{NAMES.prefix}-query-{name}")
        assert (schedule["ScheduleExpression"], schedule["State"]) == (query.schedule, "ENABLED")
        assert schedule["Target"]["Arn"] == NAMES.machine_arn(QUERY)
        assert json.loads(schedule["Target"]["Input"])["detail"]["schedule"] == f"query-{name}"


def test_the_role_reads_declared_tables_and_writes_declared_feeds(resources: list[dict[str, Any]]) -> None:
    role = named(of_type(resources, "AWS::IAM::Role"), "RoleName", NAMES.role("ingestion-machines"))
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    granted = {(action, str(arn)) for one in statements for action in one["Action"] for arn in one["Resource"]}
    written = {arn for action, arn in granted if action == "s3:PutObject"}
    assert written == {
        f"{LAKE}/query-results/*", f"{LAKE}/electricity/staging/*",
        f"{LANDING}/electricity/scoring/*", f"{LANDING}/electricity/labels/*",
    }  # fmt: skip
    read = {arn for action, arn in granted if action == "s3:GetObject"}
    own = {
        f"{LAKE}/electricity/{folder}/*" for folder in ("iceberg", "quarantine", "decisions", "predictions", "staging")
    }
    assert read == own | {"arn:aws:s3:::shop/o/*"}
    tables = {arn.partition(":table/")[2] for action, arn in granted if action == "glue:GetTable" if ":table/" in arn}
    assert {table for table in tables if not table.startswith("millrace_dev/electricity_")} == {"shop/orders"}
    listed = [one["Condition"]["StringLike"]["s3:prefix"] for one in statements if "s3:ListBucket" in one["Action"]]
    assert ["o/*"] in listed


def test_a_workload_without_queries_has_nothing_of_them(templates: dict[str, Any]) -> None:
    for stage in ("local", "dev", "prod"):
        ingestion = json.dumps(templates[stage][f"millrace-{stage}-electricity-ingestion"])
        assert "athena" not in ingestion
        assert "-query" not in ingestion


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
