"""Clients that act as a role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import allow, make_role

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
