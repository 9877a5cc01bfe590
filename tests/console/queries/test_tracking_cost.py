"""What the MLflow of a stage costs: moto knows neither Apps nor servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from console.environment import Environment
from console.queries.tracking_cost import find_tracking_cost
from millrace.names import Platform, WorkloadNames

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
FUNCTION = {"FunctionName": "millrace-dev-electricity-tracking"}
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"


class StubbedAccount:
    """The two services that are asked."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "eu-west-1"}
        self.clients: dict[str, Any] = {name: boto3.client(name, **keys) for name in ("lambda", "sagemaker")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.environment = Environment(platform=PLATFORM, client=self.clients.__getitem__)

    def records_in(self, uri: str) -> None:
        variables = {"Variables": {"MILLRACE_TRACKING_URI": uri}}
        self.stubs["lambda"].add_response("get_function_configuration", {"Environment": variables}, FUNCTION)

    def has_server(self, name: str, size: str, state: str) -> None:
        self.stubs["sagemaker"].add_response(
            "describe_mlflow_tracking_server",
            {"TrackingServerSize": size, "IsActive": state},
            {"TrackingServerName": name},
        )


@pytest.fixture
def account() -> Iterator[StubbedAccount]:
    account = StubbedAccount()
    with ExitStack() as stack:
        for stub in account.stubs.values():
            stack.enter_context(stub)
        yield account


@pytest.mark.parametrize(
    ("size", "state", "sentence"),
    [
        ("Small", "Active", "(Small): 468.66 USD a month, for all that record there together"),
        ("Small", "Inactive", "(Small): 0.00 USD a month, as it is stopped"),
        ("Large", "Active", "(Large): not known, for all that record there together"),
    ],
)
def test_a_server_costs_by_the_hour_while_it_runs(
    account: StubbedAccount, size: str, state: str, sentence: str
) -> None:
    account.records_in(f"{ARN}:mlflow-tracking-server/millrace-dev")
    account.has_server("millrace-dev", size, state)
    found = find_tracking_cost(account.environment, NAMES)
    assert found is not None
    assert found.sentence == f"MLflow tracking server millrace-dev {sentence}"


def test_an_app_costs_nothing_for_being_there(account: StubbedAccount) -> None:
    account.records_in(f"{ARN}:mlflow-app/app-ABC")
    found = find_tracking_cost(account.environment, NAMES)
    assert found is not None
    assert (found.usd_per_month, found.sentence) == (0.0, "MLflow App app-ABC: no cost for being there")


def test_a_file_and_a_stage_without_tracking_have_none(account: StubbedAccount) -> None:
    account.records_in("sqlite:////build/mlflow.db")
    assert find_tracking_cost(account.environment, NAMES) is None
    account.stubs["lambda"].add_client_error(
        "get_function_configuration", "ResourceNotFoundException", http_status_code=404
    )
    assert find_tracking_cost(account.environment, NAMES) is None
