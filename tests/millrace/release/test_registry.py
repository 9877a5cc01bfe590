"""The registry on moto."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ArtefactError
from millrace.release.registry import Candidate, Registry
from tests.credentials import set_credentials

CANDIDATE = Candidate(
    run="run-1",
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local",
    model_data_url="s3://b/runs/run-1/model.tar.gz",
    evaluation_uri="s3://b/runs/run-1/evaluation.json",
    instances=("ml.m5.large",),
    metadata={"data_digest": "d"},
)


@pytest.fixture
def registry(monkeypatch):
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("sagemaker", region_name="eu-west-1")
        client.create_model_package_group(ModelPackageGroupName="group")
        yield Registry(client, group="group")


def test_a_run_registers_one_version_however_often_it_asks(registry):
    first = registry.register(CANDIDATE)
    assert registry.register(CANDIDATE) == first
    assert (first.version, first.approval) == ("1", "PendingManualApproval")
    assert first.metadata == {"run": "run-1", "data_digest": "d"}
    assert registry.register(replace(CANDIDATE, run="run-2")).version == "2"


def test_approval_keeps_the_metadata(registry):
    package = registry.register(CANDIDATE)
    registry.approve(package, reason="released")
    found = registry.describe(package.arn)
    assert (found.approval, found.metadata) == ("Approved", package.metadata)


def test_more_metadata_than_aws_keeps_is_refused(registry):
    full = {f"key{number}": "v" for number in range(49)}
    registry.register(replace(CANDIDATE, metadata=full))
    with pytest.raises(ArtefactError, match="at most 50 entries, got 51"):
        registry.register(replace(CANDIDATE, run="run-2", metadata=full | {"one more": "v"}))


def test_a_package_without_our_container_is_none_of_ours(registry):
    arn = registry._client.create_model_package(
        ModelPackageGroupName="group",
        InferenceSpecification={"Containers": [{"Image": "i"}], "SupportedContentTypes": ["a"]},
    )["ModelPackageArn"]
    with pytest.raises(ArtefactError, match="ModelDataUrl"):
        registry.describe(arn)


def test_all_versions_are_told(registry):
    made = [registry.register(replace(CANDIDATE, run=f"run-{number}")) for number in range(3)]
    assert sorted(registry.all(), key=lambda package: package.version) == made
