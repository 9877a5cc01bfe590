"""The closing function: what an execution held is free after its end."""

import json
import sys
from datetime import timedelta

import boto3
import pytest

from millrace.state.pointers import Pointers
from millrace.timestamps import parse_utc
from tests.builders import version

AS_OF = parse_utc("1997-06-01T06:01:00Z")


@pytest.mark.parametrize(
    ("machine", "freed"),
    [("retrain", "lease#retrain"), ("ingest", "slots#ingest-training"), ("score", "slots#score-training")],
)
def test_what_an_ended_execution_held_is_free(machine, freed, aws, load, event):
    ended, holder = event("cleanup"), aws.names.execution_arn(machine, "0f3a")
    ended["detail"] |= {"stateMachineArn": aws.names.machine_arn(machine), "executionArn": holder}
    aws.leases.take("release", holder="another", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    aws.slots.take("ingest-training", holder="another", limit=2)
    if machine == "retrain":
        aws.leases.take("retrain", holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    else:
        aws.slots.take(f"{machine}-training", holder=holder, limit=2)
    handler = load("cleanup")
    assert [handler(ended), handler(ended)] == [{"freed": [freed]}, {"freed": []}]
    assert {one.holder for held in (aws.leases, aws.slots) for one in held.holdings()} == {"another"}


@pytest.fixture
def challenger(aws):
    """An endpoint that a release left behind."""
    aws.endpoint(aws.names.challenger)


def release_ended(aws, event, status):
    ended = event("cleanup")
    ended["detail"] |= {"stateMachineArn": aws.names.machine_arn("release"), "status": status}
    return ended


def test_a_failed_release_is_audited_once(aws, load, event):
    handler = load("cleanup")
    assert handler(release_ended(aws, event, "FAILED")) == handler(release_ended(aws, event, "FAILED"))
    handler(event("cleanup"))
    (record,) = aws.audit()
    assert (record["event"], record["as_of"]) == ("release.failed", event("cleanup")["as_of"])
    assert record["actor"] == "cleanup"
    assert record["execution"].endswith("electricity-retrain:c4c1c1c9")
    assert record["details"] == {
        "status": "FAILED", "error": "States.TaskFailed", "cause": "the training job failed", "input": "{}",
    }  # fmt: skip


def test_a_release_that_succeeded_cleans_up_itself(aws, load, event, challenger):
    assert load("cleanup")(release_ended(aws, event, "SUCCEEDED")) == {"freed": []}
    assert aws.audit() == []


@pytest.fixture
def live(aws):
    """`live("InService")`: the live endpoint serves the model and is in this state."""
    aws.machines("release")
    return lambda status, model="m-new": aws.endpoint(aws.names.endpoint, status, model=model)


def started(aws):
    client = boto3.client("stepfunctions")
    found = client.list_executions(stateMachineArn=aws.names.machine_arn("release"))["executions"]
    return [json.loads(client.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


RELEASE = {
    # SageMaker refuses to delete it; the sweep does so later.
    "its challenger changes": ({"challenger": "Updating"}, {}, True),
    "another release has begun": ({"challenger": "InService", "begun": True}, {}, True),
    "its input is too deep to read": ({}, {"input": "[" * 2000}, True),
    "the endpoint serves the live version, scaled": ({"model": "m"}, {}, False),
    "it was a restoration": ({}, {"input": json.dumps({"rollback": {"reason": "r", "restores": True}})}, False),
    "a teardown stopped it": ({}, {"error": "Teardown"}, False),
}
"""What stands, how the release ended, and whether the live version is restored."""


@pytest.mark.parametrize("case", RELEASE)
def test_the_live_version_is_restored_after_a_failed_release(case, aws, load, event, live):
    stands, ended, is_restored = RELEASE[case]
    live("InService", model=stands.get("model", "m-new"))
    aws.pointers.move(Pointers(champion=version("1")))
    boto3.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{aws.names.endpoint}/variant/main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    if "challenger" in stands:
        aws.endpoint(aws.names.challenger, stands["challenger"])
    if "begun" in stands:
        aws.leases.take("release", holder="another", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    told, before = release_ended(aws, event, "ABORTED"), len(aws.sagemaker.list_endpoints()["Endpoints"])
    told["detail"] |= ended
    freed = load("cleanup")(told)["freed"]
    assert ([one.startswith("execution restore-") for one in freed], len(started(aws))) == (
        [True] * is_restored,
        is_restored,
    )
    assert len(aws.sagemaker.list_endpoints()["Endpoints"]) == before


def watch(aws, before):
    """`before` is called before an endpoint is deleted."""
    module = sys.modules["millrace.functions.cleanup.handler"]
    module.LEFTOVERS.sagemaker.meta.events.register("before-call.sagemaker.DeleteEndpoint", lambda **_: before())


def test_no_release_takes_the_challenger_over_while_it_is_deleted(aws, load, event, challenger):
    handler, holders = load("cleanup"), []
    watch(aws, lambda: holders.append(aws.leases.find("release").holder.split()[0]))
    handler(release_ended(aws, event, "ABORTED"))
    assert (holders, aws.leases.find("release")) == (["cleanup"], None)


def test_the_live_version_comes_back_where_the_challenger_cannot_be_deleted(aws, load, event, challenger, live):
    live("InService")
    aws.pointers.move(Pointers(champion=version("1")))
    handler = load("cleanup")

    def refuse():
        raise ConnectionError

    watch(aws, refuse)
    with pytest.raises(ConnectionError):
        handler(release_ended(aws, event, "ABORTED"))
    assert len(started(aws)) == 1
    assert aws.leases.find("release") is None
