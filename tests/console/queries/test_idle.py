"""An endpoint that nobody calls is named after a week, with what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.sagemaker.models import sagemaker_backends

from console.doctor.examination import _endpoints
from console.environment import Environment
from console.local_cloud.local_cloud import ACCOUNT, PLATFORM, REGION
from console.queries.idle import find_idle
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload
from tests.credentials import set_credentials

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
NOW = datetime.now(UTC)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    set_credentials(monkeypatch)
    with mock_aws():
        yield Environment(platform=PLATFORM, client=lambda name: boto3.client(name, region_name=REGION))


@pytest.fixture
def endpoint(environment: Environment) -> Callable[..., None]:
    """`endpoint(made=30, called=[9])`: made 30 days ago, with a request 9 days ago."""

    def make(*, made: int, called: tuple[int, ...] = ()) -> None:
        sagemaker = environment.client("sagemaker")
        role = f"arn:aws:iam::{ACCOUNT}:role/x"
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})
        variant = {"VariantName": "main", "ModelName": "m", "InitialInstanceCount": 2, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=NAMES.endpoint, EndpointConfigName="c")
        found = sagemaker_backends[ACCOUNT][REGION].endpoints[NAMES.endpoint]
        found.creation_time = (NOW - timedelta(days=made)).strftime("%Y-%m-%d %H:%M:%S")
        dimensions = {"EndpointName": NAMES.endpoint, "VariantName": "main"}
        for days in called:
            datum = {
                "MetricName": "Invocations",
                "Value": 1.0,
                "Timestamp": NOW - timedelta(days=days),
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            }
            environment.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])

    return make


@pytest.mark.parametrize(
    ("made", "called", "days"),
    [
        (30, (), 30),
        (30, (20,), 19),
        (30, (20, 2), None),
        (6, (), None),
        (200, (), 200),
    ],
    ids=["never called", "long ago", "lately", "new", "old"],
)
def test_an_endpoint_is_idle_after_a_week_without_requests(
    environment: Environment, endpoint: Callable[..., None], made: int, called: tuple[int, ...], days: int | None
) -> None:
    endpoint(made=made, called=called)
    found = find_idle(environment, NAMES)
    if days is None:
        assert found is None
    else:
        assert found is not None
        assert days <= found.days <= days + 1
        assert found.usd_per_month == pytest.approx(2 * 0.115 * 1.2 * 730)


def test_where_there_is_no_endpoint_none_is_idle(environment: Environment) -> None:
    assert find_idle(environment, NAMES) is None


def test_the_doctor_names_it(environment: Environment, endpoint: Callable[..., None]) -> None:
    endpoint(made=30)
    environment.client("stepfunctions").create_state_machine(
        name=NAMES.machine("ingest"),
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine",
    )
    declared = load_workload(Path("workloads/electricity"))
    (check,) = _endpoints(environment, [declared])
    assert (check.name, check.verdict) == ("endpoint of electricity", "unknown")
    assert check.found.startswith("no request for 30 days, at 201.48 USD a month")
    assert list(_endpoints(environment, [declared.model_copy(update={"name": "gas"})])) == []
