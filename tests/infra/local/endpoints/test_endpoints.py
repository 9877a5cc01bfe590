"""Endpoints as processes: calls, weights, restarts, blue/green with alarms, scaling."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.endpoints.endpoints import endpoints
from infra.local.sagemaker.containers import images
from tests.infra.local import tiny_images
from tests.infra.local.waiting import until


@pytest.fixture(scope="module")
def bucket(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    images(cloud).repository = tiny_images.write(tmp_path_factory.mktemp("repository"))
    name = "tiny-endpoints"
    cloud.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name


@pytest.fixture(scope="module")
def role(cloud: Any) -> str:
    iam = cloud.client("iam")
    arn: str = iam.create_role(
        RoleName="tiny-serving", AssumeRolePolicyDocument=tiny_images.trust("sagemaker.amazonaws.com")
    )["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName="tiny-serving", PolicyName="all", PolicyDocument=json.dumps(policy))
    return arn


@pytest.fixture
def sagemaker(client: Callable[[str], Any]) -> Any:
    return client("sagemaker")


@pytest.fixture
def config(sagemaker: Any, client: Any, bucket: str, role: str, fresh: Callable[..., str]) -> Callable[..., str]:
    """An endpoint configuration whose variants serve models that tell their version."""

    def make(*variants: tuple[str, float], count: int = 1, environment: dict[str, str] | None = None) -> str:
        rows = []
        for version, weight in variants or (("1", 1.0),):
            model = fresh("model")
            client("s3").put_object(Bucket=bucket, Key=f"{model}.tar.gz", Body=_archive(version))
            sagemaker.create_model(
                ModelName=model,
                ExecutionRoleArn=role,
                PrimaryContainer={
                    "Image": tiny_images.uri("serve"),
                    "ModelDataUrl": f"s3://{bucket}/{model}.tar.gz",
                    "Environment": environment or {},
                },
            )
            rows.append(
                {
                    "VariantName": "main" if len(variants) < 2 else f"v{version}",
                    "ModelName": model,
                    "InstanceType": "ml.c7i.large",
                    "InitialInstanceCount": count,
                    "InitialVariantWeight": weight,
                }
            )
        name = fresh("config")
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=rows)
        return name

    return make


def _archive(version: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("version.txt")
        member.size = len(version)
        tar.addfile(member, io.BytesIO(version.encode()))
    return packed.getvalue()


def settled(sagemaker: Any, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return told if told["EndpointStatus"] in {"InService", "Failed"} else None

    found = until(look)
    assert found is not None
    return found


@pytest.fixture
def endpoint(sagemaker: Any, fresh: Callable[..., str]) -> Callable[[str], str]:
    """The name of an endpoint in service."""

    def make(config: str) -> str:
        name = fresh("endpoint")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert settled(sagemaker, name)["EndpointStatus"] == "InService"
        return name

    return make


@pytest.fixture
def call(client: Any) -> Callable[..., dict[str, Any]]:
    """What the model tells of one request."""

    def invoke(name: str, body: bytes = b"{}", **more: Any) -> dict[str, Any]:
        answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more)
        told: dict[str, Any] = json.loads(answer["Body"].read())
        return {**told, "answer": answer}

    return invoke


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


def metric(client: Any, cloud: Any, name: str, endpoint: str, **dimensions: str) -> dict[str, float]:
    given = {"EndpointName": endpoint, "VariantName": "main", **dimensions}
    answer = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in given.items()],
        StartTime=cloud.clock.now() - timedelta(minutes=5),
        EndTime=cloud.clock.now() + timedelta(minutes=5),
        Period=600,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )
    points: list[dict[str, float]] = answer["Datapoints"]
    return points[0] if points else {"Sum": 0.0, "SampleCount": 0.0}


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


CANARY = {
    "TrafficRoutingConfiguration": {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 600,
    },
    "TerminationWaitInSeconds": 0,
}


def test_a_canary_gets_its_share_and_then_everything(
    config: Any, endpoint: Any, call: Any, sagemaker: Any, cloud: Any, client: Any
) -> None:
    name, after = endpoint(config(count=2)), config(("2", 1.0), count=2)
    sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=after, DeploymentConfig={"BlueGreenUpdatePolicy": CANARY}
    )
    shared(cloud, name)
    seen = Counter(call(name)["version"] for _ in range(60))
    assert 15 <= seen["2"] <= 45
    assert metric(client, cloud, "Invocations", name, EndpointConfigName=after)["Sum"] == seen["2"]
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    cloud.clock.move(cloud.clock.now() + timedelta(seconds=1300))
    told = settled(sagemaker, name)
    assert told["EndpointConfigName"] == after
    assert {call(name)["version"] for _ in range(10)} == {"2"}


def shared(cloud: Any, name: str) -> None:
    """Return when the green fleet takes traffic."""
    until(lambda: endpoints(cloud)[name].green is not None and endpoints(cloud)[name].green_share)


def test_an_alarm_rolls_back(
    config: Any, endpoint: Any, call: Any, sagemaker: Any, cloud: Any, client: Any, fresh: Any
) -> None:
    before = config(count=2)
    name, alarm = endpoint(before), fresh("alarm")
    client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=config(("2", 1.0), count=2),
        DeploymentConfig={
            "BlueGreenUpdatePolicy": CANARY,
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        },
    )
    shared(cloud, name)
    client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    told = settled(sagemaker, name)
    assert told["EndpointConfigName"] == before
    assert alarm in told["FailureReason"]
    assert {call(name)["version"] for _ in range(10)} == {"1"}


def test_an_update_that_cannot_start_leaves_the_old_fleet(
    config: Any, endpoint: Any, call: Any, sagemaker: Any
) -> None:
    name = endpoint(config())
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(environment={"CRASH": "1"}))
    told = settled(sagemaker, name)
    assert "ping health check" in told["FailureReason"]
    assert call(name)["version"] == "1"


def test_no_request_is_lost_during_an_update(config: Any, endpoint: Any, call: Any, sagemaker: Any) -> None:
    name = endpoint(config())
    with ThreadPoolExecutor(4) as pool:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(("2", 1.0)))
        seen: list[str] = []
        while "2" not in seen:
            seen += [told["version"] for told in pool.map(lambda _: call(name, b"slow"), range(4))]
        seen += [told["version"] for told in pool.map(lambda _: call(name), range(20))]
    assert set(seen[-20:]) == {"2"}


def test_a_canary_needs_two_instances(config: Any, endpoint: Any, sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="50 %"):
        sagemaker.update_endpoint(
            EndpointName=endpoint(config()),
            EndpointConfigName=config(),
            DeploymentConfig={"BlueGreenUpdatePolicy": CANARY},
        )


def test_retained_properties(config: Any, endpoint: Any, sagemaker: Any) -> None:
    name = endpoint(config())
    scaled = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=scaled)
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(), RetainAllVariantProperties=True)
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config())
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


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
