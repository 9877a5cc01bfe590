"""Model Registry: versions, what an update keeps, what is told on the bus."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.resources import make_role

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


def test_a_model_of_a_package_that_is_gone_is_refused_and_not_there(
    register: Any, sagemaker: Any, fresh: Callable[..., str], client: Callable[[str], Any]
) -> None:
    package, name = register(), fresh("model")
    role = make_role(client("iam"), name, "sagemaker")
    sagemaker.delete_model_package(ModelPackageName=package)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": package})
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=name)


def test_only_an_approved_package_becomes_a_model(
    register: Any, sagemaker: Any, fresh: Callable[..., str], client: Callable[[str], Any]
) -> None:
    package, name = register(), fresh("model")
    role = make_role(client("iam"), name, "sagemaker")
    container = {"ModelPackageName": package}
    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus=status)
        with pytest.raises(ClientError, match=f"is {status}, expected Approved"):
            sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    with pytest.raises(ClientError, match="Expected Image or ModelPackageName"):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Environment": {}})
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)


def test_approval_is_told_on_the_bus(register: Any, sagemaker: Any, group: str, client: Any, fresh: Any) -> None:
    sqs, name = client("sqs"), fresh("heard")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    target = {"Id": "q", "Arn": f"arn:aws:sqs:eu-west-1:123456789012:{name}"}
    client("events").put_targets(Rule=name, Targets=[target])
    sagemaker.update_model_package(ModelPackageArn=register(), ModelApprovalStatus="Approved")
    message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]
    assert json.loads(message["Body"])["detail"]["ModelPackageVersion"] == 1
