"""Statements of roles: whole actions, a reason for each wildcard, folders and items of the workload alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from localcloud.iam.policies import Request, verdict
from millrace.infra.iam import iceberg, sagemaker_endpoints, state_table
from millrace.infra.iam.buckets import ARTEFACTS, LAKE, one_object
from millrace.infra.iam.resource import every, resource
from millrace.names import Platform, WorkloadNames
from millrace.workload.known_keys import KnownKeys


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


def test_a_statement_reads_as_its_policy() -> None:
    assert state_table.own_items(names()).may("PutItem", "GetItem").document() == {
        "Effect": "Allow",
        "Action": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "Resource": ["arn:aws:dynamodb:eu-west-1:123456789012:table/millrace-dev-state"],
        "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["air_quality"]}},
    }


def test_items_in_several_partitions_are_those_of_the_whole_name() -> None:
    air = replace(names(), workload="air")
    [known] = state_table.read_known_keys(air, KnownKeys(hours=48))
    for statement, kind in ((state_table.reviews(air).may("BatchGetItem"), "review"), (known, "known")):
        document, resources = json.dumps({"Statement": [statement.document()]}), statement.resources
        for pk, may in (("air#00", True), ("air_quality#00", False), ("air", False), ("quality#air#00", False)):
            context = {"dynamodb:leadingkeys": (f"{kind}#{pk}",)}
            request = Request(action="dynamodb:BatchGetItem", resources=resources, context=context)
            assert (verdict([document], request) == "Allow") is may, pk


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


def test_resources_of_one_service_share_a_statement_others_do_not() -> None:
    both = sagemaker_endpoints.live(names()) + sagemaker_endpoints.challenger(names())
    assert len(both.may("DescribeEndpoint").resources) == 2
    with pytest.raises(ValueError, match=r"expected sagemaker under \{\}, got glue"):
        both + iceberg.database(names())
    with pytest.raises(ValueError, match="expected dynamodb"):
        state_table.own_items(names()) + resource("dynamodb", "arn")


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


def test_one_object_is_found_and_read_and_nothing_beside_it() -> None:
    get, find = (one.document() for one in one_object(names(), "s3://models/xray/7/model.tar.gz"))
    assert get == {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::models/xray/7/model.tar.gz"],
    }
    assert (find["Action"], find["Resource"]) == (["s3:ListBucket"], ["arn:aws:s3:::models"])
    assert find["Condition"] == {"StringEquals": {"s3:prefix": ["xray/7/model.tar.gz"]}}
    with pytest.raises(ValueError, match=r"expected a reason"):
        one_object(names(), "s3://models/*/model.tar.gz")
