"""The registry on moto."""

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ArtefactError
from millrace.release.registry import Registry
from tests import builders
from tests.credentials import set_credentials

CANDIDATE = builders.candidate(
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local",
    model_data_url="s3://b/runs/run-1/model.tar.gz",
    evaluation_uri="s3://b/runs/run-1/evaluation.json",
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
    assert not registry.was_never_live(), "an empty registry proves nothing"
    first = registry.register(CANDIDATE)
    assert registry.register(CANDIDATE) == first
    assert (first.version, first.approval) == ("1", "PendingManualApproval")
    assert first.metadata == {"run": "run-1", "data_digest": "d"}
    assert registry.register(replace(CANDIDATE, run="run-2")).version == "2"


def test_what_a_person_says_and_what_was_live_are_two_marks(registry):
    first, second, third = (registry.register(replace(CANDIDATE, run=f"run-{number}")) for number in range(3))
    assert [one.version for one in registry.waiting()] == [one.version for one in registry.all()] == ["3", "2", "1"]
    registry.approve(first, reason="as good on our wards")
    registry.refuse(second, reason="errs")
    found = [registry.describe(one.arn) for one in (first, second)]
    assert [(one.approval, one.said, one.was_live) for one in found] == [
        ("Approved", "as good on our wards", False),
        ("Rejected", "errs", False),
    ]
    assert list(registry.waiting()) == [third]
    assert registry.was_never_live()
    registry.mark_live(found[0], execution="arn:aws:states:eu-west-1:123456789012:execution:release:r1")
    # moto sets to null what an update does not name.
    registry.mark_live(third, execution="arn:aws:states:eu-west-1:123456789012:execution:release:r2")
    assert registry.describe(third.arn).approval == "Approved", "one that nobody had to approve"
    live = registry._client.describe_model_package(ModelPackageName=first.arn)
    assert live["CustomerMetadataProperties"] == {**first.metadata, "was_live": "r1"}
    assert not registry.was_never_live()


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
