"""Statements of roles: whole actions, a reason for each wildcard, folders and items of the workload alone."""

from __future__ import annotations

import pytest

from millrace.infra.iam import sagemaker_endpoints, state_table
from millrace.infra.iam.buckets import ARTEFACTS, LAKE
from millrace.infra.iam.resource import every, resource
from millrace.names import Platform, WorkloadNames


def names(region: str = "eu-west-1") -> WorkloadNames:
    platform = Platform(stage="dev", account="123456789012", region=region)
    return WorkloadNames(platform=platform, workload="air_quality")


def test_a_wildcard_needs_a_reason() -> None:
    with pytest.raises(ValueError, match=r"expected whole action names, got \['s3:\*'\]"):
        resource("s3", "arn:aws:s3:::lake").may("s3:*")
    with pytest.raises(ValueError, match=r"expected a reason \(because=…\) for the wildcard in \['\*'\]"):
        resource("s3", "*")
    with pytest.raises(ValueError, match=r"expected a reason .* in \['b/\*'\]"):
        resource("s3", "a", "b/*")
    assert every("s3", because="There is none").may("GetObject").reasons == {"*": "There is none"}


def test_a_folder_that_nobody_has_explained_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected folders of .*'staging'.*, got \['secrets'\]"):
        LAKE.read(names(), "secrets")
    with pytest.raises(
        ValueError,
        match=r"bucket artefacts: expected folders of \['checkpoints', 'external', 'runs'\], got \['staging'\]",
    ):
        ARTEFACTS.find(names(), "runs", "staging")


def test_a_bucket_ends_at_the_workloads_folder() -> None:
    arn = "arn:aws:s3:::millrace-dev-lake-123456789012-eu-west-1"
    assert LAKE.write(names(), "staging", "quarantine/feed=labels").resources == (
        f"{arn}/air_quality/staging/*",
        f"{arn}/air_quality/quarantine/feed=labels/*",
    )
    found = LAKE.find(names(), "staging")
    assert found.resources == (arn,)
    assert found.conditions == {"StringLike": {"s3:prefix": ["air_quality/staging/*"]}}


@pytest.mark.parametrize(("region", "end"), [("eu-west-1", "com"), ("cn-north-1", "com.cn"), ("us-gov-west-1", "com")])
def test_the_region_says_what_addresses_end_in(region: str, end: str) -> None:
    """https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html"""
    there = names(region).platform
    assert there.queue_url("a") == f"https://sqs.{region}.amazonaws.{end}/123456789012/a"
    assert there.repository_uri("training") == (f"123456789012.dkr.ecr.{region}.amazonaws.{end}/millrace-dev-training")


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_region_says_the_partition_of_every_arn(region: str, partition: str) -> None:
    there = names(region)
    statements = [
        state_table.own_items(there).may("GetItem"),
        LAKE.read(there, "staging"),
        *sagemaker_endpoints.scale(there),
    ]
    arns = [arn for one in statements for arn in one.resources]
    assert len(arns) > 3
    assert {arn.split(":")[1] for arn in arns} == {partition}
    assert there.role_arn("cleanup") == f"arn:{partition}:iam::123456789012:role/millrace-dev-air-quality-cleanup"
