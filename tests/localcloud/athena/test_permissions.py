"""A query runs by the permissions of who starts it: on the workgroup, the catalogue, the files and the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from tests.localcloud.athena.conftest import Queries
from tests.localcloud.resources import Resources, allow

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

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
def client(cloud: Cloud, aws: Resources) -> Callable[..., Any]:
    """Athena with the keys of a role that has all of the grants but one."""

    def make(but: str = "") -> Any:
        return as_role(
            cloud, aws.role("lambda", *(allow(*given) for name, given in GRANTS.items() if name != but)), "athena"
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
