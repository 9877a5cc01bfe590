import pytest
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import ACCOUNT


def test_a_role_that_does_not_exist_is_not_assumed(client, fresh):
    role = f"arn:aws:iam::{ACCOUNT}:role/{fresh('none')}"
    with pytest.raises(ClientError) as caught:
        client("sts").assume_role(RoleArn=role, RoleSessionName="nobody")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert f"not authorized to perform: sts:AssumeRole on resource: {role}" in str(caught.value)
