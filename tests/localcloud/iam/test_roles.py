"""Clients that act as a role."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.policies import Request, verdict
from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Resources, allow, make_role

LISTS = allow("s3:ListAllMyBuckets")


def test_a_role_that_is_made_again_has_its_rights(
    cloud: Cloud, client: Callable[[str], Any], fresh: Callable[..., str]
) -> None:
    """As when a workload is removed and deployed again: its machines act as roles of the former names."""
    iam, name = client("iam"), fresh("role")
    arn = make_role(iam, name, "states", LISTS)
    former = as_role(cloud, arn, "s3", principal="states.amazonaws.com")
    assert former.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert as_role(cloud, arn, "s3", principal="states.amazonaws.com") is former
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    iam.delete_role(RoleName=name)
    make_role(iam, name, "states", LISTS)
    assert as_role(cloud, arn, "s3", principal="states.amazonaws.com").list_buckets()
    with pytest.raises(ClientError, match="AccessDenied"):
        former.list_buckets()


def decided(*, resource: str = "*", requested: str = "arn:aws:s3:::b/k", condition: Any = None) -> bool:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource, "Condition": condition or {}}
    request = Request(action="s3:GetObject", resources=(requested,), context={"s3:prefix": ("a*",)})
    return verdict([json.dumps({"Statement": [statement]})], request) == "Allow"


@pytest.mark.parametrize(
    ("resource", "requested", "is_met"),
    [
        ("arn:aws:s3:::b/${*}/x", "arn:aws:s3:::b/*/x", True),
        ("arn:aws:s3:::b/${*}/x", "arn:aws:s3:::b/any/x", False),
        ("arn:aws:s3:::b/${?}*", "arn:aws:s3:::b/?any", True),
        ("arn:aws:s3:::b/${?}*", "arn:aws:s3:::b/any", False),
        ("arn:aws:s3:::b/${$}", "arn:aws:s3:::b/$", True),
    ],
)
def test_a_wildcard_in_braces_is_the_character_itself(resource: str, requested: str, is_met: bool) -> None:
    assert decided(resource=resource, requested=requested) is is_met


@pytest.mark.parametrize("operator", ["StringEquals", "StringEqualsIgnoreCase", "StringLike"])
@pytest.mark.parametrize(("value", "is_met"), [("a${*}", True), ("b${*}", False)])
def test_a_wildcard_in_braces_is_the_character_itself_in_conditions(operator: str, value: str, is_met: bool) -> None:
    assert decided(condition={operator: {"s3:prefix": value}}) is is_met


ACCOUNT, REGION = "123456789012", "eu-west-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/training@sha256:{'0' * 64}"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"
Make = Callable[..., str]


def statement(*actions: str, on: str = "*", **condition: Any) -> dict[str, Any]:
    found = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return found | ({"Condition": condition} if condition else {})


@pytest.fixture
def role(aws: Resources) -> Make:
    return lambda *statements, service: aws.role(service.partition(".")[0], *statements)


def refused(make: Callable[[], Any]) -> str:
    """The action that was refused."""
    with pytest.raises(ClientError, match="AccessDenied") as raised:
        make()
    return str(raised.value).partition("not authorized to perform: ")[2].partition(" ")[0]


MACHINE = {
    "StartAt": "A",
    "States": {
        "A": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "B",
                    "States": {
                        "B": {
                            "Type": "Task",
                            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                            "Parameters": {"TrainingJobName": "x"},
                            "End": True,
                        }
                    },
                }
            ],
            "End": True,
        }
    },
}
DELIVERY = ("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
            "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies",
            "logs:DescribeLogGroups")  # fmt: skip


def test_a_machine_needs_the_rules_of_its_tasks_and_its_log(cloud: Cloud, role: Make, fresh: Make) -> None:
    """AWS: `is not authorized to create managed-rule`, and `not authorized to access the Log Destination`."""

    def make(*statements: dict[str, Any]) -> Any:
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g:*"
        return cloud.client("stepfunctions").create_state_machine(
            name=fresh("machine"),
            definition=json.dumps(MACHINE),
            roleArn=role(*statements, service="states.amazonaws.com"),
            loggingConfiguration={"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]},
        )

    rules = statement("events:PutTargets", "events:PutRule", "events:DescribeRule", on=RULE)
    assert refused(lambda: make(statement(*DELIVERY))) == "events:PutTargets"
    assert refused(lambda: make(rules)) == "logs:CreateLogDelivery"
    assert make(rules, statement(*DELIVERY))["stateMachineArn"]


def test_a_job_needs_its_image_its_network_and_its_volume(cloud: Cloud, role: Make, key: str, aws: Resources) -> None:
    """One after the other is given; only with all of it SageMaker takes the job."""
    mine = {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}}
    steps = [
        ("ecr:GetAuthorizationToken", statement("ecr:GetAuthorizationToken")),
        ("ecr:BatchCheckLayerAvailability", statement(
            "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
            on=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/training",
        )),
        ("ec2:CreateNetworkInterface", statement("ec2:*")),
        ("kms:CreateGrant", statement("kms:CreateGrant", on=key, Bool={"kms:GrantIsForAWSResource": "true"})),
        ("kms:Encrypt", statement("kms:Encrypt", on=key)),
        ("logs:CreateLogGroup", statement(
            "logs:*", on=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs*"
        )),
        ("cloudwatch:PutMetricData", statement("cloudwatch:PutMetricData", **mine)),
    ]  # fmt: skip

    def make(*statements: dict[str, Any]) -> Any:
        return cloud.client("sagemaker").create_training_job(
            TrainingJobName=aws.fresh("job"),
            RoleArn=role(*statements, service="sagemaker.amazonaws.com"),
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": "s3://nowhere/o", "KmsKeyId": key},
            ResourceConfig={
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, "VolumeKmsKeyId": key,
            },
            VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )  # fmt: skip

    given = [one for _, one in steps]
    for number, (action, _) in enumerate(steps):
        assert refused(lambda count=number: make(*given[:count])) == action
    assert make(*given)["TrainingJobArn"]


def test_a_model_needs_its_image(cloud: Cloud, role: Make, fresh: Callable[..., str]) -> None:
    def make(*statements: dict[str, Any]) -> Any:
        arn = role(*statements, service="sagemaker.amazonaws.com")
        return cloud.client("sagemaker").create_model(
            ModelName=fresh("model"), ExecutionRoleArn=arn, PrimaryContainer={"Image": IMAGE}
        )

    assert refused(make) == "ecr:GetAuthorizationToken"
    assert make(statement("ecr:*"))["ModelArn"]


def test_a_table_under_a_customer_key_needs_it_of_each_caller(
    cloud: Cloud, role: Make, key: str, aws: Resources
) -> None:
    encrypted = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    table = aws.table("pk", SSESpecification=encrypted)

    def get(*statements: dict[str, Any]) -> Any:
        arn = role(statement("dynamodb:GetItem"), *statements, service="lambda.amazonaws.com")
        return as_role(cloud, arn, "dynamodb").get_item(TableName=table, Key={"pk": {"S": "x"}})

    assert refused(get) == "kms:Decrypt"
    get(statement("kms:Decrypt", on=key))


def test_who_may_not_list_is_not_told_that_there_is_no_such_object(cloud: Cloud, role: Make, aws: Resources) -> None:
    """A permission to list below a prefix does not help: the request to get an object has no prefix."""
    bucket = aws.bucket()

    def get(*statements: dict[str, Any]) -> str:
        arn = role(statement("s3:GetObject"), *statements, service="lambda.amazonaws.com")
        with pytest.raises(ClientError) as raised:
            as_role(cloud, arn, "s3").get_object(Bucket=bucket, Key="in/x")
        return str(raised.value.response["Error"]["Code"])

    assert get() == "AccessDenied"
    assert get(statement("s3:ListBucket", StringLike={"s3:prefix": ["in/*"]})) == "AccessDenied"
    assert get(statement("s3:ListBucket")) == "NoSuchKey"


def test_the_tags_of_a_job_are_a_condition(cloud: Cloud, role: Make, fresh: Callable[..., str]) -> None:
    def make(owner: str) -> str:
        arn = role(statement("logs:*", "cloudwatch:*"), service="sagemaker.amazonaws.com")
        name = fresh("job")
        cloud.client("sagemaker").create_training_job(
            TrainingJobName=name,
            RoleArn=arn,
            AlgorithmSpecification={"TrainingImage": "elsewhere/image", "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": "s3://nowhere/o"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=[{"Key": "owner", "Value": owner}],
        )
        return name

    own = statement("sagemaker:DescribeTrainingJob", StringEquals={"aws:ResourceTag/owner": "me"})
    sagemaker = as_role(cloud, role(own, service="states.amazonaws.com"), "sagemaker")
    assert sagemaker.describe_training_job(TrainingJobName=make("me"))["TrainingJobArn"]
    assert refused(lambda: sagemaker.describe_training_job(TrainingJobName=make("you"))) == (
        "sagemaker:DescribeTrainingJob"
    )
