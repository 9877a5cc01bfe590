"""A query runs by the permissions of who starts it: on the workgroup, the catalogue, the files and the results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.localcloud.athena.conftest import Queries

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ACCOUNT = "eu-west-1:123456789012"
GRANTS: dict[str, tuple[list[str], list[str]]] = {
    "workgroup": (
        ["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup"],
        [f"arn:aws:athena:{ACCOUNT}:workgroup/queried"],
    ),
    "catalogue": (
        ["glue:GetTable"],
        [f"arn:aws:glue:{ACCOUNT}:{rest}" for rest in ("catalog", "database/queried", "table/queried/*")],
    ),
    "listing": (["s3:ListBucket"], ["arn:aws:s3:::queried"]),
    "files": (["s3:GetObject"], ["arn:aws:s3:::queried/loads/*", "arn:aws:s3:::queried/runs/*"]),
    "results": (["s3:PutObject"], ["arn:aws:s3:::queried/results/*"]),
}
SQL = "select count(kind) from loads join runs on runs.value = 1 where run = 'one'"


@pytest.fixture
def client(cloud: Cloud, fresh: Callable[..., str]) -> Callable[..., Any]:
    """Athena with the keys of a role that has all of the grants but one."""

    def make(but: str = "") -> Any:
        statements = [
            {"Effect": "Allow", "Action": actions, "Resource": resources}
            for name, (actions, resources) in GRANTS.items()
            if name != but
        ]
        iam, name = cloud.client("iam"), fresh("role")
        trust, policy = ({"Version": "2012-10-17", "Statement": each} for each in ([TRUST], statements))
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        keys = cloud.role_environment(role, "session")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return boto3.client(
            "athena",
            region_name="eu-west-1",
            endpoint_url=cloud.endpoint_url,
            **{key.lower(): keys[key] for key in names},
        )

    return make


def status_of(athena: Any) -> dict[str, Any]:
    query = athena.start_query_execution(
        QueryString=SQL, WorkGroup="queried", QueryExecutionContext={"Database": "queried"}
    )["QueryExecutionId"]
    while True:
        status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            return dict(status)
        time.sleep(0.01)


def test_a_role_with_all_of_them_gets_its_answer(queries: Queries, client: Callable[..., Any]) -> None:
    assert status_of(client())["State"] == "SUCCEEDED"


def test_a_role_without_the_workgroup_starts_nothing(queries: Queries, client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: athena:StartQueryExecution"):
        status_of(client("workgroup"))


@pytest.mark.parametrize(
    ("but", "reason"),
    [
        ("catalogue", "glue:GetTable"),
        ("listing", "s3:ListBucket"),
        ("files", "PERMISSION_DENIED: s3://queried/"),
        ("results", "Unable to verify/create output bucket queried"),
    ],
)
def test_a_query_fails_where_the_role_may_not_read_or_write(
    queries: Queries, client: Callable[..., Any], but: str, reason: str
) -> None:
    status = status_of(client(but))
    assert status["State"] == "FAILED"
    assert reason in status["StateChangeReason"]
