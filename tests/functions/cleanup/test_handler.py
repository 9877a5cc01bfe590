"""The closing function: what an execution held is free after its end."""

import json
import sys
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from millrace.state.pointers import Pointers, Version
from millrace.timestamps import parse_utc

AS_OF = parse_utc("1997-06-01T06:01:00Z")


def test_a_failed_execution_holds_nothing_any_more(aws, load, event):
    ended = event("cleanup")
    holder = ended["detail"]["executionArn"]
    aws.leases.take("retrain", holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    aws.leases.take("release", holder="another", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    handler = load("cleanup")
    assert handler(ended) == {"freed": ["lease#retrain"]}
    assert handler(ended) == {"freed": []}
    assert aws.leases.find("release").holder == "another"


@pytest.mark.parametrize("machine", ["ingest", "score"])
def test_an_execution_that_a_drop_started_gives_its_slot_back(machine, aws, load, event):
    ended = event("cleanup")
    ended["detail"]["stateMachineArn"] = aws.names.machine_arn(machine)
    ended["detail"]["executionArn"] = aws.names.execution_arn(machine, "0f3a")
    aws.slots.take(f"{machine}-training", holder=ended["detail"]["executionArn"], limit=2)
    aws.slots.take(f"{machine}-training", holder="another", limit=2)
    handler = load("cleanup")
    assert handler(ended) == {"freed": [f"slots#{machine}-training"]}
    assert handler(ended) == {"freed": []}
    assert not aws.slots.take(f"{machine}-training", holder="third", limit=1), "the other one keeps its slot"


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


def test_a_running_execution_is_no_end(load, event):
    running = event("cleanup")
    running["detail"]["status"] = "RUNNING"
    with pytest.raises(ValueError, match="status"):
        load("cleanup")(running)


@pytest.fixture
def live(aws):
    """`live("InService")`: the live endpoint serves the model and is in this state."""

    boto3.client("stepfunctions").create_state_machine(
        name=aws.names.machine("release"),
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}),
        roleArn="arn:aws:iam::123456789012:role/millrace-local-electricity-release",
    )
    return lambda status, model="m-new": aws.endpoint(aws.names.endpoint, status, model=model)


CHAMPION = Version(package_arn="p/1", version="1", model_name="m-old", run="r", baseline_uri="")


def started(aws):
    client = boto3.client("stepfunctions")
    found = client.list_executions(stateMachineArn=aws.names.machine_arn("release"))["executions"]
    return [json.loads(client.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


@pytest.mark.parametrize("status", ["Creating", "Updating", "Deleting"])
def test_a_challenger_that_changes_still_does_not_keep_the_live_version_away(
    status, aws, load, event, challenger, live
):
    """SageMaker refuses to delete it; the sweep does so later."""
    from moto.sagemaker.models import sagemaker_backends

    live("InService")
    backend = sagemaker_backends["123456789012"]["eu-west-1"]
    backend.endpoints[aws.names.challenger].endpoint_status = status
    aws.pointers.move(Pointers(champion=CHAMPION))
    (freed,) = load("cleanup")(release_ended(aws, event, "ABORTED"))["freed"]
    assert freed.startswith("execution restore-")
    assert len(started(aws)) == 1
    assert aws.names.challenger in backend.endpoints


def scaled(aws):
    """The live endpoint's variant is scaled."""
    boto3.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{aws.names.endpoint}/variant/main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )


def test_an_endpoint_that_serves_the_live_version_stays(aws, load, event, live):
    live("InService", model="m-old")
    scaled(aws)
    aws.pointers.move(Pointers(champion=CHAMPION))
    assert load("cleanup")(release_ended(aws, event, "FAILED")) == {"freed": []}
    assert started(aws) == []


def test_neither_a_restoration_nor_a_teardown_is_taken_back(aws, load, event, live):
    live("InService")
    aws.pointers.move(Pointers(champion=CHAMPION))
    restored, torn_down = (release_ended(aws, event, "ABORTED") for _ in range(2))
    restored["detail"]["input"] = json.dumps({"rollback": {"reason": "r", "restores": True}})
    torn_down["detail"]["error"] = "Teardown"
    for ended in (restored, torn_down):
        assert load("cleanup")(ended) == {"freed": []}
    assert started(aws) == []


def test_an_input_too_deep_to_read_is_no_restoration(aws, load, event, live):
    live("InService")
    aws.pointers.move(Pointers(champion=CHAMPION))
    ended = release_ended(aws, event, "ABORTED")
    ended["detail"]["input"] = "[" * 2000
    load("cleanup")(ended)
    assert len(started(aws)) == 1


class Watched:
    """SageMaker; `before` is called before each call of this action."""

    def __init__(self, sagemaker, action, before):
        self._sagemaker, self._action, self._before = sagemaker, action, before

    def __getattr__(self, name):
        if name == self._action:
            self._before()
        return getattr(self._sagemaker, name)


def watch(aws, action, before):
    module = sys.modules["millrace.functions.cleanup.handler"]
    module.LEFTOVERS = replace(module.LEFTOVERS, sagemaker=Watched(aws.sagemaker, action, before))


def test_no_release_takes_the_challenger_over_while_it_is_deleted(aws, load, event, challenger):
    handler, holders = load("cleanup"), []
    watch(aws, "delete_endpoint", lambda: holders.append(aws.leases.find("release").holder.split()[0]))
    handler(release_ended(aws, event, "ABORTED"))
    assert (holders, aws.leases.find("release")) == (["cleanup"], None)


def test_the_live_version_comes_back_where_the_challenger_cannot_be_deleted(aws, load, event, challenger, live):
    live("InService")
    aws.pointers.move(Pointers(champion=CHAMPION))
    handler = load("cleanup")

    def refuse():
        raise ConnectionError

    watch(aws, "delete_endpoint", refuse)
    with pytest.raises(ConnectionError):
        handler(release_ended(aws, event, "ABORTED"))
    assert len(started(aws)) == 1
    assert aws.leases.find("release") is None


def test_the_live_version_comes_back_after_a_release_that_has_begun_since(aws, load, event, challenger, live):
    """That one may end without touching the endpoint; the restoration waits for it."""
    live("InService")
    aws.pointers.move(Pointers(champion=CHAMPION))
    aws.leases.take("release", holder="another", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    (freed,) = load("cleanup")(release_ended(aws, event, "FAILED"))["freed"]
    assert freed.startswith("execution restore-")
    assert len(aws.sagemaker.list_endpoints()["Endpoints"]) == 2
