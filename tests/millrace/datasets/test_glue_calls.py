"""What Glue refuses is asked again; a commit whose answer is lost is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.install import Throttles
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from tests.millrace.datasets.test_commits import committed, rows, source

BURST = 3


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that botocore waited between its attempts; it does not, here."""
    found: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture
def throttle(
    cloud: Cloud, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, int]], Throttles]]:
    """`throttle({"glue:GetTable": 3})`: the next so many calls of the lake are refused; it has a function's keys."""
    iam, service = cloud.client("iam"), {"Service": "lambda.amazonaws.com"}
    trust = policy({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"})
    name = lake.names.platform.stage
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=everything)
    for key, value in cloud.role_environment(arn, "throttled").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # one of another file has that file's keys
    throttles = cloud.part(Throttles)

    def begin(calls: dict[str, int]) -> Throttles:
        throttles.throttle(calls)
        return throttles

    yield begin
    throttles.throttle({})


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("call", ["GetTable", "CreateTable", "UpdateTable"])
def test_a_drop_survives_throttles_in_a_row(call: str, lake: Lake, throttle: Any, waits: list[float]) -> None:
    throttles = throttle({f"glue:{call}": BURST})
    result = commit(lake, "rows", rows(0), source("a.parquet"))
    assert (result.rows_added, committed(lake).num_rows) == (48, 48)
    assert throttles.refused == {f"glue:{call}": BURST}
    assert len(waits) == BURST, "by botocore, not by an attempt that reads the table again"


def test_throttles_without_end_are_an_error(lake: Lake, throttle: Any, waits: list[float]) -> None:
    throttle({"glue:GetTable": 100})
    with pytest.raises(ClientError, match="ThrottlingException"):
        lake.find("rows")
    assert sum(waits) < 120, "within the time of a function"


def lose(lake: Lake, operation: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Glue does the next call of `operation`, and its answer does not arrive; the calls of it since."""
    http, seen = lake.catalog.glue._endpoint.http_session, []
    send = http.send

    def send_and_lose(request: Any) -> Any:
        answer = send(request)
        if request.headers["X-Amz-Target"].decode().endswith(f".{operation}"):
            seen.append(operation)
            if len(seen) == 1:
                raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    monkeypatch.setattr(http, "send", send_and_lose)
    return seen


def test_a_commit_whose_answer_is_lost_is_not_sent_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    """Sent again it would look like another writer's, and pyiceberg deletes the manifests of a commit that has lost."""
    commit(lake, "rows", rows(0), source("a.parquet"))
    sent = lose(lake, "UpdateTable", monkeypatch)
    late = commit(lake, "rows", rows(48), source("b.parquet"))
    assert (late.rows_added, late.rows_total) == (48, 96)
    assert committed(lake).num_rows == 96, "every manifest is still there"
    assert (len(sent), waits) == (1, [])


def test_a_table_whose_creation_was_not_answered_is_there(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    sent = lose(lake, "CreateTable", monkeypatch)
    assert commit(lake, "rows", rows(0), source("a.parquet")).rows_total == committed(lake).num_rows == 48
    assert len(sent) == 2
