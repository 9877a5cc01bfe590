"""Endpoints as processes: calls, weights, restarts, metrics, events."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.sagemaker.endpoints.reading import settled
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
