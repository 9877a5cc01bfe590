"""What a version's preflights measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console.local_cloud.local_cloud import PLATFORM
from console.queries.call_times import CallTimes, read_call_times
from millrace.aws.objects import put_object
from millrace.names import WorkloadNames
from millrace.workload.prices import usd_per_hour
from tests.credentials import set_credentials

NAMES = WorkloadNames(platform=PLATFORM, workload="plant")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket=PLATFORM.bucket("artefacts"), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield client


def test_each_instance_type_has_its_own(s3: Any) -> None:
    for instance, record in {
        "ml.c6i.xlarge": {"p50_ms": 2.0, "p99_ms": 5.5},
        "ml.m5.large": {"p50_ms": 3.0, "p99_ms": 6.5},
        "ml.m5.xlarge": {"ready_s": 1.0},
    }.items():
        put_object(
            s3,
            NAMES.run_uri("run-1", "preflight", f"{instance}.json"),
            json.dumps({"instance": instance, **record}).encode(),
        )
    found = read_call_times(s3, NAMES, "run-1")
    assert found == (
        CallTimes(instance="ml.c6i.xlarge", p50_ms=2.0, p99_ms=5.5),
        CallTimes(instance="ml.m5.large", p50_ms=3.0, p99_ms=6.5),
    )
    assert read_call_times(s3, NAMES, "run-2") == ()
    an_hour_has = 3_600_000 / 2
    assert found[0].usd_per_1000 == pytest.approx(usd_per_hour("ml.c6i.xlarge") / an_hour_has * 1000)
