"""What was not found is told apart from every other refusal."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from millrace.aws.errors import is_not_found


@pytest.mark.parametrize(
    ("message", "absent"),
    [
        ('Could not find endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e".', True),
        ('Cannot update in-progress endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e".', False),
        ("User is not authorized to perform: sagemaker:DescribeEndpoint", False),
    ],
)
def test_only_what_was_not_found_is_absent(message: str, absent: bool) -> None:
    answer = {"Error": {"Code": "ValidationException", "Message": message}}
    assert is_not_found(ClientError(answer, "DescribeEndpoint")) is absent
