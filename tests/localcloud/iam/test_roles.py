"""Clients that act as a role."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud

TRUST = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
LISTS = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}


def put_role(iam: Any, name: str, statement: dict[str, Any]) -> str:
    document = {"Version": "2012-10-17", "Statement": [TRUST]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName=name, PolicyName="statements", PolicyDocument=json.dumps(policy))
    return str(role["Arn"])


def test_a_role_that_is_made_again_has_its_rights(
    cloud: Cloud, client: Callable[[str], Any], fresh: Callable[..., str]
) -> None:
    """As when a workload is removed and deployed again: its machines act as roles of the former names."""
    iam, name = client("iam"), fresh("role")
    arn = put_role(iam, name, LISTS)
    former = as_role(cloud, arn, "s3", principal="states.amazonaws.com")
    assert former.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert as_role(cloud, arn, "s3", principal="states.amazonaws.com") is former
    iam.delete_role_policy(RoleName=name, PolicyName="statements")
    iam.delete_role(RoleName=name)
    put_role(iam, name, LISTS)
    assert as_role(cloud, arn, "s3", principal="states.amazonaws.com").list_buckets()
    with pytest.raises(ClientError, match="AccessDenied"):
        former.list_buckets()
