"""Endpoints as processes: calls, restarts, metrics, events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.endpoints.endpoint import endpoints
from localcloud.sagemaker.jobs.jobs import jobs
from millrace.infra.context import Context
from millrace.infra.machines import release
from millrace.infra.settings import settings_for
from millrace.workload.load import load_workload
from tests.infra.machines.contexts import FOLDER
from tests.localcloud.resources import Resources
from tests.localcloud.sagemaker.endpoints.reading import metric, settled
from tests.localcloud.waiting import until


def test_a_call_reaches_the_container_and_its_answer_comes_back(
    config: Any, endpoint: Any, call: Any, cloud: Any
) -> None:
    name = endpoint(config())
    body = bytes(range(256))
    told = call(
        name,
        body,
        ContentType="application/x-npy",
        Accept="application/json",
        InferenceId="i-1",
        CustomAttributes="c=1",
    )
    assert (told["version"], told["size"], told["arguments"]) == ("1", 256, ["serve"])
    assert (told["inference"], told["type"]) == ("i-1", "application/x-npy")
    assert told["answer"]["InvokedProductionVariant"] == "main"
    assert told["answer"]["CustomAttributes"] == "c=1"
    assert told["answer"]["ContentType"] == "application/json"


def test_a_missing_endpoint(call: Any) -> None:
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint nobody of account 123456789012 not found"):
        call("nobody")


@pytest.mark.parametrize(("body", "status", "side"), [(b"bad", 422, "client"), (b"broken", 500, "server")])
def test_a_refusal_of_the_model(config: Any, endpoint: Any, call: Any, body: bytes, status: int, side: str) -> None:
    with pytest.raises(ClientError, match=rf"ModelError.*Received {side} error \({status}\)") as raised:
        call(endpoint(config()), body)
    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status


def test_a_payload_over_6_mb_is_refused(config: Any, endpoint: Any, call: Any) -> None:
    name = endpoint(config())
    with pytest.raises(ClientError, match="6291456"):
        call(name, b"x" * 6_291_457)
    assert call(name, b"x" * 6_291_456)["size"] == 6_291_456


def test_a_dead_process_is_replaced(config: Any, endpoint: Any, call: Any) -> None:
    name = endpoint(config())
    before = call(name)["pid"]
    with pytest.raises(ClientError, match="ModelError"):
        call(name, b"die")
    assert until(lambda: answered(call, name)) != before


def answered(call: Any, name: str) -> int | None:
    """The process that answers; None while none does."""
    try:
        return int(call(name)["pid"])
    except ClientError:
        return None


def test_memory_is_measured_and_ends_a_container_that_takes_more_than_its_instance_has(
    config: Any, endpoint: Any, call: Any, client: Any, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = endpoint(config())
    before = call(name)["pid"]
    (fleet,) = endpoints(cloud)[name].fleets()
    fleet.meter()
    held = metric(client, cloud, "MemoryUtilization", name, namespace="/aws/sagemaker/Endpoints")
    assert 0 < held["Maximum"] < 50
    assert call(name)["pid"] == before
    monkeypatch.setattr(jobs(cloud), "most_mb", 1.0)
    fleet.meter()
    assert until(lambda: answered(call, name)) != before


def test_a_container_that_cannot_start_fails_the_endpoint(config: Any, sagemaker: Any, fresh: Any) -> None:
    name = fresh("endpoint")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config(environment={"CRASH": "1"}))
    told = settled(sagemaker, name)
    assert told["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in told["FailureReason"]


def test_what_is_not_covered_is_refused_by_name(config: Any, endpoint: Any, call: Any, sagemaker: Any) -> None:
    made = config()
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=made)["ProductionVariants"]
    serverless = {**variant, "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    for uncovered, given in {
        "ShadowProductionVariants": {"ProductionVariants": [variant], "ShadowProductionVariants": [variant]},
        "ServerlessConfig": {"ProductionVariants": [serverless]},
        "several production variants": {"ProductionVariants": [variant, {**variant, "VariantName": "other"}]},
    }.items():
        with pytest.raises(ClientError, match=f"does not cover {uncovered}"):
            sagemaker.create_endpoint_config(EndpointConfigName="uncovered", **given)
    with pytest.raises(ClientError, match="does not cover TargetVariant"):
        call(endpoint(made), TargetVariant="main")


DIMENSION = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture(scope="module")
def context() -> Context:
    """Two instances of ml.m5.xlarge are declared; a new fleet is not watched."""
    workload = load_workload(FOLDER)
    changes = {
        "min_instances": 2,
        "instance": {**workload.rollout.instance, "local": "ml.m5.xlarge"},
    }
    settings = settings_for("local", account="123456789012", region="eu-west-1")
    return Context(
        component="release",
        settings=replace(settings, bake_s=0),
        workload=workload.model_copy(update={"rollout": workload.rollout.model_copy(update=changes)}),
        folder=FOLDER,
        key_arn="arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
        subnet_ids=("subnet-0a1b2c3d",),
        security_group_id="sg-0a1b2c3d",
        images={"inference": "i"},
    )


@pytest.fixture
def live(sagemaker: Any, client: Any, config: Any, context: Context) -> Any:
    """`live("ml.m5.large", 1)`: the live endpoint, scaled; deleted after the test. A server boots for half a second."""
    name, slow = context.names.endpoint, config(environment={"BOOT": "0.5"})
    model = sagemaker.describe_endpoint_config(EndpointConfigName=slow)["ProductionVariants"][0]["ModelName"]

    def make(instance: str, count: int) -> None:
        sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-v1-now", ProductionVariants=[fleet_of(instance)])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-v1-now")
        assert settled(sagemaker, name)["EndpointStatus"] == "InService"
        change = [{"VariantName": "main", "DesiredInstanceCount": count}]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=change)
        settled(sagemaker, name)
        client("application-autoscaling").register_scalable_target(**target(context), MinCapacity=1, MaxCapacity=4)

    def fleet_of(instance: str, count: int = 1) -> dict[str, Any]:
        return {"VariantName": "main", "ModelName": model, "InstanceType": instance, "InitialInstanceCount": count}

    declared = context.workload.rollout
    after = fleet_of(declared.instance["local"], context.least_instances)
    sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-v2-next", ProductionVariants=[after])
    yield make
    if scaled(client, context):
        client("application-autoscaling").deregister_scalable_target(**target(context))
    sagemaker.delete_endpoint(EndpointName=name)
    for ending in ("v1-now", "v2-next"):
        sagemaker.delete_endpoint_config(EndpointConfigName=f"{name}-{ending}")
    until(lambda: name not in {one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]})


@pytest.fixture
def update(aws: Resources, context: Context) -> Callable[..., tuple[dict[str, Any], set[str]]]:
    """The execution of the machine's states from the live fleet to its scaling, and the names of those it entered.

    `meanwhile` is called just before it starts."""

    def run(*, meanwhile: Callable[[], Any] = lambda: None) -> tuple[dict[str, Any], set[str]]:
        role = aws.role("states", *(one.document() for one in release.statements(context)))
        whole = release.definition(context)["States"]
        steps = {"Live fleet": whole["Live fleet"], **whole, "Advance release": {"Type": "Succeed"}}
        given = {
            "start_release": {"answer": {"has_canary": True}},
            "live_config": {"name": f"{context.names.endpoint}-v2-next"},
        }
        machine = aws.machine(steps, role=role)
        meanwhile()
        told = aws.run(machine, given)
        history = aws.client("stepfunctions").get_paginator("get_execution_history")
        pages = history.paginate(executionArn=told["executionArn"])
        entered = {
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        }
        return told, entered

    return run


def target(context: Context) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{context.names.endpoint}/variant/main",
        "ScalableDimension": DIMENSION,
    }


def scaled(client: Any, context: Context) -> list[tuple[int, int]]:
    named = target(context)
    found = client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[named["ResourceId"]]
    )
    return [(one["MinCapacity"], one["MaxCapacity"]) for one in found["ScalableTargets"]]


def fleet(sagemaker: Any, context: Context) -> tuple[str, int]:
    """Instance type and count."""
    now = settled(sagemaker, context.names.endpoint)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=now["EndpointConfigName"])
    return config["ProductionVariants"][0]["InstanceType"], now["ProductionVariants"][0]["CurrentInstanceCount"]


def test_another_instance_type_and_a_higher_count_need_no_step_by_hand(
    live: Any, update: Any, sagemaker: Any, client: Any, context: Context
) -> None:
    live("ml.m5.large", 1)
    run, entered = update()
    assert run["status"] == "SUCCEEDED", run["cause"]
    assert {"Stop scaling", "Declared count", "Update live"} <= entered
    assert fleet(sagemaker, context) == ("ml.m5.xlarge", 2)
    assert scaled(client, context) == [(2, 4)]


def test_a_fleet_that_is_scaling_is_waited_for(
    live: Any, update: Any, sagemaker: Any, client: Any, context: Context
) -> None:
    """It may have begun while the preflight and the challenger took their minutes."""
    live("ml.m5.xlarge", 2)
    change = [{"VariantName": "main", "DesiredInstanceCount": 4}]
    run, entered = update(
        meanwhile=lambda: sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=context.names.endpoint, DesiredWeightsAndCapacities=change
        )
    )
    assert run["status"] == "SUCCEEDED", run["cause"]
    assert "Its change ends" in entered
    assert fleet(sagemaker, context) == ("ml.m5.xlarge", 4)


def test_a_fleet_that_scales_by_itself_is_not_replaced(live: Any, sagemaker: Any, context: Context) -> None:
    """Why the machine stops the scaling before: SageMaker's own words."""
    live("ml.m5.large", 1)
    name = context.names.endpoint
    with pytest.raises(ClientError, match="registered for autoscaling"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-v2-next")
