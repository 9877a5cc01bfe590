"""Endpoints as processes: calls, weights, restarts, metrics, events."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.endpoints.endpoint import endpoints
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


def test_weights_and_the_target_variant(config: Any, endpoint: Any, call: Any, sagemaker: Any) -> None:
    name = endpoint(config(("1", 3.0), ("2", 1.0)))
    seen = Counter(call(name)["version"] for _ in range(80))
    assert 40 <= seen["1"] <= 76
    assert call(name, TargetVariant="v2")["version"] == "2"
    weights = [{"VariantName": "v1", "DesiredWeight": 0}, {"VariantName": "v2", "DesiredWeight": 1}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=weights)
    settled(sagemaker, name)
    assert {call(name)["version"] for _ in range(10)} == {"2"}


def test_a_dead_process_is_replaced(config: Any, endpoint: Any, call: Any) -> None:
    name = endpoint(config())
    before = call(name)["pid"]
    with pytest.raises(ClientError, match="ModelError"):
        call(name, b"die")

    def answered() -> int | None:
        try:
            return int(call(name)["pid"])
        except ClientError:
            return None

    assert until(answered) != before


def test_a_container_that_cannot_start_fails_the_endpoint(config: Any, sagemaker: Any, fresh: Any) -> None:
    name = fresh("endpoint")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config(environment={"CRASH": "1"}))
    told = settled(sagemaker, name)
    assert told["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in told["FailureReason"]


def test_names_are_taken_and_free_again(config: Any, endpoint: Any, sagemaker: Any, cloud: Any) -> None:
    used = config()
    name = endpoint(used)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=used)
    fleet = endpoints(cloud)[name].blue
    assert fleet is not None
    server = fleet.variants["main"].servers[0]
    sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: name not in endpoints(cloud))
    assert not server.alive
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=name)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=used)
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    ("uncovered", "given"),
    [
        ("ShadowProductionVariants", "config"),
        ("ServerlessConfig", "variant"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(
    config: Any, sagemaker: Any, fresh: Any, uncovered: str, given: str
) -> None:
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config())["ProductionVariants"][0]
    request: dict[str, Any] = {"EndpointConfigName": fresh("config"), "ProductionVariants": [variant]}
    if given == "config":
        request[uncovered] = [variant]
    else:
        variant[uncovered] = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    with pytest.raises(ClientError, match=f"does not cover {uncovered}"):
        sagemaker.create_endpoint_config(**request)


def test_metrics(config: Any, endpoint: Any, call: Any, client: Any, cloud: Any) -> None:
    name = endpoint(config(count=2))
    for body in (b"{}", b"{}", b"slow"):
        call(name, body)
    with pytest.raises(ClientError):
        call(name, b"bad")
    assert metric(client, cloud, "Invocations", name)["Sum"] == 4
    assert metric(client, cloud, "InvocationsPerInstance", name)["Sum"] == 2
    assert metric(client, cloud, "Invocation4XXErrors", name)["Sum"] == 1
    assert metric(client, cloud, "ModelLatency", name)["Maximum"] > 400_000


def test_state_changes_are_told_on_the_bus(config: Any, endpoint: Any, client: Any, fresh: Any) -> None:
    sqs, queue = client("sqs"), fresh("heard")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Endpoint State Change"]}
    client("events").put_rule(Name=queue, EventPattern=json.dumps(pattern))
    target = {"Id": "q", "Arn": f"arn:aws:sqs:eu-west-1:123456789012:{queue}"}
    client("events").put_targets(Rule=queue, Targets=[target])
    name = endpoint(config())
    statuses: list[str] = []
    while len(statuses) < 2:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]:
            detail = json.loads(message["Body"])["detail"]
            statuses += [detail["EndpointStatus"]] if detail["EndpointName"] == name else []
    assert set(statuses) == {"CREATING", "IN_SERVICE"}
