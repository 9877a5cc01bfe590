"""A lake on the local cloud's S3 and Glue: one server for the session, a new database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.cloud import Cloud
from infra.local.server import running
from millrace.contract.reading import load_contract
from millrace.lake.tables import Lake
from millrace.names import Platform, WorkloadNames

WORKLOAD = Path(__file__).parents[3] / "workloads" / "electricity"


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def names(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> WorkloadNames:
    """The buckets and the database of a platform that nobody else uses."""
    names = WorkloadNames(
        platform=Platform(stage=f"t{uuid.uuid4().hex[:8]}", account="123456789012", region="eu-west-1"),
        workload="electricity",
    )
    for purpose in ("lake", "artefacts", "landing"):
        cloud.client("s3").create_bucket(
            Bucket=names.platform.bucket(purpose), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    cloud.client("glue").create_database(DatabaseInput={"Name": names.platform.database})
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return names


@pytest.fixture
def lake(names: WorkloadNames) -> Lake:
    return Lake(names, load_contract(WORKLOAD))
