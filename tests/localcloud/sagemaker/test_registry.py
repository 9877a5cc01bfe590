"""Model Registry: versions, what an update keeps, what is told on the bus."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.resources import Resources

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def group(sagemaker: Any, fresh: Callable[..., str]) -> str:
    name = fresh("group")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


@pytest.fixture
def register(sagemaker: Any, group: str) -> Callable[..., str]:
    """The ARN of a new version in the group."""

    def make(**more: Any) -> str:
        request = {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {
                "Containers": [{"Image": f"a/millrace-dev-inference@{DIGEST}", "ModelDataUrl": "s3://b/model.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "CustomerMetadataProperties": {"data": "d1", "code": "c1"},
            "ModelLifeCycle": {"Stage": "shadow", "StageStatus": "started"},
            **more,
        }
        arn: str = sagemaker.create_model_package(**request)["ModelPackageArn"]
        return arn

    return make


def test_an_update_keeps_what_it_does_not_name(register: Any, sagemaker: Any, group: str) -> None:
    arn = register()
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"weights": "w1"},
        CustomerMetadataPropertiesToRemove=["code"],
    )
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert told["ModelApprovalStatus"] == "Approved"
    assert told["CustomerMetadataProperties"] == {"data": "d1", "weights": "w1"}
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [one["ModelPackageArn"] for one in approved["ModelPackageSummaryList"]] == [arn]


def test_a_group_has_a_policy_until_it_is_deleted(sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)
    sagemaker.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy="{}")
    assert sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"] == "{}"
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)


def test_refusals(register: Any, sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    register()
    with pytest.raises(ClientError, match="ConflictException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        register(ModelPackageGroupName="nobody")


def test_only_an_approved_package_that_is_there_becomes_a_model(register: Any, sagemaker: Any, aws: Resources) -> None:
    package, name, role = register(), aws.fresh("model"), aws.role("sagemaker")

    def make(**container: Any) -> None:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)

    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus=status)
        with pytest.raises(ClientError, match=f"is {status}, expected Approved"):
            make(ModelPackageName=package)
    with pytest.raises(ClientError, match="Expected Image or ModelPackageName"):
        make(Environment={})
    gone = register()
    sagemaker.delete_model_package(ModelPackageName=gone)
    with pytest.raises(ClientError, match="does not exist"):
        make(ModelPackageName=gone)
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=name)
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    make(ModelPackageName=package)


def test_approval_is_told_on_the_bus(register: Any, sagemaker: Any, group: str, aws: Resources) -> None:
    detail = {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]}
    queue = aws.heard(**{"detail-type": ["SageMaker Model Package State Change"], "detail": detail})
    sagemaker.update_model_package(ModelPackageArn=register(), ModelApprovalStatus="Approved")
    assert json.loads(queue.take()["Body"])["detail"]["ModelPackageVersion"] == 1
