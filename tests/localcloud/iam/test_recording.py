"""What a recording holds: each allowed request once, with the policies that allowed it, and the started processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from localcloud.iam.decision import why_not
from localcloud.iam.identity import Identity
from localcloud.iam.recording import Allowed, Recording, read
from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from tests.localcloud.control import control
from tests.localcloud.resources import Resources, allow


@pytest.fixture
def on(cloud: Cloud) -> Iterator[Callable[[], list[Allowed]]]:
    """Recording for one test; the value reads what was written."""
    assert control(cloud.endpoint_url, "permissions", {"on": True}) == {"on": True}
    yield lambda: read(control(cloud.endpoint_url, "permissions"))
    assert control(cloud.endpoint_url, "permissions", {"on": False}) == {"on": False}


@pytest.fixture
def role(aws: Resources) -> str:
    return aws.role("lambda", allow(["sqs:CreateQueue", "sqs:SendMessage"]))


def send(cloud: Cloud, role: str, queue: str) -> None:
    sqs = as_role(cloud, role, "sqs")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="x")


def test_equal_requests_are_kept_once_with_the_policies_that_allowed_them(
    cloud: Cloud, on: Callable[[], list[Allowed]], role: str, fresh: Callable[..., str]
) -> None:
    queue = fresh("queue")
    send(cloud, role, queue)
    found = [one for one in on() if one.role == role.rpartition("/")[2]]
    assert [(one.operation, one.case.request.action) for one in found] == [
        ("sqs:CreateQueue", "sqs:CreateQueue"), ("sqs:SendMessage", "sqs:SendMessage")]  # fmt: skip
    for one in found:
        assert one.case.request.resources == (f"arn:aws:sqs:eu-west-1:123456789012:{queue}",)
        assert one.case.request.context["aws:principalarn"] == (role,)
        assert why_not(one.case) is None
        (document,) = one.case.of_role
        assert json.loads(document)["Statement"][0]["Action"] == ["sqs:CreateQueue", "sqs:SendMessage"]


def test_nothing_is_written_while_it_is_off(cloud: Cloud, role: str, fresh: Callable[..., str]) -> None:
    control(cloud.endpoint_url, "permissions", {"on": True})
    control(cloud.endpoint_url, "permissions", {"on": False})
    send(cloud, role, fresh("queue"))
    cloud.parts[Identity].recording.start(["x"], {})
    told = control(cloud.endpoint_url, "permissions")
    assert (told["allowed"], told["started"]) == ([], [])


def test_a_process_is_kept_with_its_whole_environment(cloud: Cloud) -> None:
    kept = Recording()
    kept.switch(on=True)
    cloud.watchers.append(kept.start)
    try:
        log = cloud.workspace / "true.log"
        process = cloud.spawn(["/bin/true"], environment={"A": "1"}, cwd=cloud.workspace, log=log)
        assert process.wait() == 0
    finally:
        cloud.watchers.remove(kept.start)
    (started,) = kept.as_json()["started"]
    assert (started["arguments"], started["environment"]["A"]) == (["/bin/true"], "1")
    assert not [name for name in started["environment"] if name.startswith("AWS_")]
