"""`make prune`: what machines, models and versions name stays, and what is young."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.infra import prune
from millrace.infra.images import TAKEN, image_tags
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE
from tests.credentials import set_credentials

PLATFORM = settings_for("dev", account="123456789012", region="eu-west-1").platform
ROLE = "arn:aws:iam::123456789012:role/machine"
LATER = datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    set_credentials(monkeypatch)
    with mock_aws():
        made: Callable[[str], Any] = lambda service: boto3.client(service, "eu-west-1")  # noqa: E731
        for image in prune.IMAGES:
            made("ecr").create_repository(repositoryName=PLATFORM.repository(image))
        yield made


def push(client: Callable[[str], Any], image: str, tag: str) -> str:
    """The image's digest; its parameter holds it, as `make images` notes it."""
    layer = {"mediaType": "x", "size": 1, "digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"}
    manifest = {"schemaVersion": 2, "mediaType": TAKEN, "config": layer, "layers": [layer]}
    answer = client("ecr").put_image(
        repositoryName=PLATFORM.repository(image),
        imageTag=tag,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=TAKEN,
    )
    digest: str = answer["image"]["imageId"]["imageDigest"]
    client("ssm").put_parameter(Name=PLATFORM.digest_parameter(image, tag), Value=digest, Type="String")
    return digest


def machine(client: Callable[[str], Any], name: str, digest: str) -> None:
    state = {"Type": "Pass", "End": True, "Comment": f"{PLATFORM.repository_uri('training')}@{digest}"}
    definition = json.dumps({"StartAt": "One", "States": {"One": state}})
    client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=ROLE)


def test_what_nothing_names_goes_with_its_parameter(client: Callable[[str], Any]) -> None:
    current = image_tags(SUITE, PLATFORM)["training"]
    deployed = push(client, "training", "deployed")
    served, versioned = push(client, "inference", "served"), push(client, "inference", "versioned")
    push(client, "training", current)
    push(client, "training", "forgotten")
    push(client, "inference", "elsewhere")
    machine(client, "millrace-dev-electricity-train", deployed)
    sagemaker, uri = client("sagemaker"), PLATFORM.repository_uri("inference")
    container = {"Image": f"{uri}@{served}"}
    sagemaker.create_model(ModelName="millrace-dev-electricity-v1", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    sagemaker.create_model_package_group(ModelPackageGroupName="millrace-dev-electricity")
    sagemaker.create_model_package(
        ModelPackageGroupName="millrace-dev-electricity",
        InferenceSpecification={"Containers": [{"Image": f"{uri}@{versioned}"}]},
    )
    found = prune.unused(client, PLATFORM, root=SUITE, now=LATER)
    assert {(one.image, one.tags) for one in found} == {("training", ("forgotten",)), ("inference", ("elsewhere",))}
    for one in found:
        prune.delete(client, PLATFORM, one)
    left = {tag for one in prune.held(client, PLATFORM) for tag in one.tags}
    assert left == {"deployed", "served", "versioned", current}
    named = client("ssm").describe_parameters()["Parameters"]
    assert {one["Name"].rpartition("/")[2] for one in named} == left


def test_an_image_with_many_tags_goes_with_all_their_parameters(client: Callable[[str], Any]) -> None:
    """SSM deletes ten at once; moto takes any number, so what it is sent is looked at."""
    tags = tuple(f"tag{number}" for number in range(23))
    for tag in tags:
        client("ssm").put_parameter(Name=PLATFORM.digest_parameter("training", tag), Value="sha256:0", Type="String")
    sent: list[int] = []

    def watched(service: str) -> Any:
        made = client(service)
        made.meta.events.register("before-parameter-build.ssm.DeleteParameters", lambda params, **_: count(params))
        return made

    def count(params: dict[str, Any]) -> None:
        sent.append(len(params["Names"]))

    image = prune.Held(image="training", digest="sha256:" + "0" * 64, tags=tags, pushed=datetime.now(UTC), size_gb=1)
    prune.delete(watched, PLATFORM, image)
    assert sent == [10, 10, 3]
    assert client("ssm").describe_parameters()["Parameters"] == []


def test_what_is_young_stays_and_another_stages_machine_keeps_nothing(client: Callable[[str], Any]) -> None:
    machine(client, "millrace-prod-electricity-train", push(client, "training", "forgotten"))
    assert prune.unused(client, PLATFORM, root=SUITE, now=datetime.now(UTC)) == []
    assert len(prune.unused(client, PLATFORM, root=SUITE, now=LATER)) == 1


def test_the_repositorys_own_lifecycle_takes_no_image_with_a_tag(assemblies: dict[str, Path]) -> None:
    from millrace.infra.rules.assembly import read

    repositories = [one for stack in read(assemblies["prod"]) for one in stack.resources("AWS::ECR::Repository")]
    assert len(repositories) == len(prune.IMAGES)
    for one in repositories:
        rules = json.loads(one.properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert {rule["selection"]["tagStatus"] for rule in rules} == {"untagged"}
