"""For the tests of the fillers, which share the cloud of their file; names keep tests apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Resources, Stack, allow, document


@pytest.fixture
def client(cloud: Cloud) -> Callable[[str], Any]:
    """A boto3 client with the operator's keys, by service."""
    return cloud.client


@pytest.fixture(scope="module")
def aws(cloud: Cloud) -> Resources:
    return Resources(cloud=cloud)


@pytest.fixture
def stack(client: Callable[[str], Any], fresh: Callable[..., str]) -> Iterator[Callable[..., Stack]]:
    """Create or update one stack, by its template or its resources; deleted after the test."""
    cloudformation, name = client("cloudformation"), fresh("stack")
    made = []

    def put(template: dict[str, Any], **more: Any) -> Stack:
        body = json.dumps({"Resources": template} if "Resources" not in template else template)
        call = cloudformation.update_stack if made else cloudformation.create_stack
        made.append(call(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **more))
        return Stack(cloudformation, name)

    yield put
    cloudformation.delete_stack(StackName=name)


@pytest.fixture
def key(client: Callable[[str], Any]) -> str:
    """The ARN of a customer key whose policy leaves the decision to the account's IAM policies."""
    root = allow("kms:*", Principal={"AWS": "arn:aws:iam::123456789012:root"})
    return str(client("kms").create_key(Policy=document(root))["KeyMetadata"]["Arn"])


@pytest.fixture
def fresh(aws: Resources) -> Callable[..., str]:
    """A name nobody else uses: `fresh("queue")` is `queue-1f0c9a52`."""
    return aws.fresh
