"""A lake on the local cloud's S3 and Glue: one server for each file, a new database for each test."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.kernel.cloud import Cloud
from millrace.contract.load import load_contract
from millrace.datasets import iceberg
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.names import Platform, WorkloadNames
from tests.credentials import set_credentials

WORKLOAD = Path(__file__).parents[3] / "workloads" / "electricity"


def make_places(cloud: Cloud, platform: Platform) -> None:
    """Its buckets and its database, as the templates would make them."""
    place = {"LocationConstraint": platform.region}
    for purpose in ("lake", "artefacts", "landing"):
        cloud.client("s3").create_bucket(Bucket=platform.bucket(purpose), CreateBucketConfiguration=place)
    cloud.client("glue").create_database(DatabaseInput={"Name": platform.database})


def source_of(key: str, version: str = "", **given: Any) -> Source:
    """Where the rows of an object come from, in its only version or in this one."""
    usual = {"uri": f"s3://landing/{key}?versionId={version}", "digest": version or key, "written_by": version or key}
    return Source(key=key, **usual | given)


@pytest.fixture
def names(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> WorkloadNames:
    """The buckets and the database of a platform that nobody else uses."""
    names = WorkloadNames(
        platform=Platform(stage=f"t{uuid.uuid4().hex[:8]}", account="123456789012", region="eu-west-1"),
        workload="electricity",
    )
    make_places(cloud, names.platform)
    # A function keeps its client for as long as its process lives; here the cloud of another file was asked before.
    iceberg.s3_client.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    set_credentials(monkeypatch)
    return names


@pytest.fixture
def lake(names: WorkloadNames) -> Lake:
    return Lake(names, load_contract(WORKLOAD))


@pytest.fixture
def pair(lake: Lake, cloud: Cloud) -> tuple[Lake, Lake]:
    """Two lakes that nothing has come into."""
    platform = replace(lake.names.platform, stage=f"t{uuid.uuid4().hex[:8]}")
    other = Lake(WorkloadNames(platform=platform, workload=lake.names.workload), lake.contract)
    make_places(cloud, platform)
    return lake, other
