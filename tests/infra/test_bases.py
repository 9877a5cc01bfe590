"""The base images: listed once, pinned where a digest is known, and looked up by one command."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ConfigurationError
from millrace.infra import aws_images, bases, images, prune
from millrace.infra.images import TAKEN, image_tags
from millrace.infra.settings import settings_for
from millrace.names import IMAGES
from millrace.workload.load import SUITE
from millrace.workload.load import SUITE as ROOT
from tests.credentials import set_credentials

PLATFORM = settings_for("dev", account="123456789012", region="eu-west-1").platform
OLD, NEW = (f"sha256:{digit * 64}" for digit in "0f")
DOCKER = f"""#!{sys.executable}
import sys
assert sys.argv[1:4] == ["buildx", "imagetools", "inspect"] and sys.argv[5] == "--format", sys.argv
print("{NEW}" if "python" in sys.argv[4] else "no digest")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, and a docker whose registries have another digest by now."""
    (tmp_path / "millrace").mkdir()
    (tmp_path / "millrace" / "constraints.txt").symlink_to(ROOT / "millrace" / "constraints.txt")
    shutil.copytree(ROOT / "containers", tmp_path / "millrace" / "containers")
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent))
    return tmp_path


def pin(root: Path, digest: str | None) -> None:
    bases.write(root, {**bases.pins(root), bases.PYTHON: digest})


def test_every_base_is_listed_and_nothing_else() -> None:
    defaults = {
        line
        for path in ROOT.glob("containers/*/Dockerfile")
        for line in re.findall(r"^ARG BASE=(.+)$", path.read_text(), re.M)
    }
    aws = {aws_images.training_base(ROOT, stage, "eu-west-1") for stage in ("dev", "prod")}
    assert set(bases.pins(ROOT)) == {bases.key_of(one) for one in {*defaults, *aws}}
    for path in ROOT.glob("containers/*/Dockerfile"):
        assert re.findall(r"^FROM (.+)$", path.read_text(), re.M) == ["${BASE}"]


def test_a_pinned_base_is_built_by_its_digest(root: Path) -> None:
    pin(root, OLD)
    found = {image.name: image for image in images.images(root, PLATFORM)}
    assert found["inference"].base == f"{bases.PYTHON}@{OLD}"
    assert f"BASE={bases.PYTHON}@{OLD}" in images.build(found["inference"])
    pin(root, None)
    assert images.images(root, PLATFORM)[2].base == bases.PYTHON, "by its tag alone"


def test_a_patched_base_makes_other_images_of_those_that_begin_with_it(root: Path) -> None:
    pin(root, OLD)
    before = images.image_tags(root, PLATFORM)
    assert bases.refresh(root, [bases.PYTHON]) == {bases.PYTHON: (OLD, NEW)}
    after = images.image_tags(root, PLATFORM)
    assert {name for name in before if before[name] != after[name]} == {"processing", "inference"}
    assert bases.refresh(root, [bases.PYTHON]) == {}, "nothing new"
    assert json.loads((root / bases.FILE).read_text())[bases.PYTHON] == NEW


def test_awss_images_are_the_same_in_every_region(root: Path) -> None:
    key = "pytorch:2.13-cpu-amzn2023-sagemaker"
    bases.write(root, {key: OLD})
    for host in ("763104351884.dkr.ecr.eu-west-1.amazonaws.com", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"):
        assert bases.pinned(root, f"{host}/{key}") == f"{host}/{key}@{OLD}"


def test_what_is_no_digest_is_refused(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected sha256:<64 digits>, got 'no digest'"):
        bases.refresh(root, ["763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"])
    with pytest.raises(ConfigurationError, match="expected one of"):
        bases.pinned(root, "debian:13")
    (root / bases.FILE).write_text(json.dumps({bases.PYTHON: "latest"}))
    with pytest.raises(ConfigurationError, match="got 'latest'"):
        bases.pins(root)


ROLE = "arn:aws:iam::123456789012:role/machine"
LATER = datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    set_credentials(monkeypatch)
    with mock_aws():
        made: Callable[[str], Any] = lambda service: boto3.client(service, "eu-west-1")  # noqa: E731
        for image in IMAGES:
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
