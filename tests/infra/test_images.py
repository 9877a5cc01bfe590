"""`make images` against a registry, with a docker that writes down what it is told and pushes a manifest."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Annotations, Match
from moto.server import ThreadedMotoServer

from millrace.errors import ConfigurationError
from millrace.infra import aws_images, bases, images
from millrace.infra.app import build, check_bases, refuse_missing_images
from millrace.infra.options import Options
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE as ROOT
from tests.credentials import KEYS

SETTINGS = settings_for("dev", account="123456789012", region="eu-west-1")
BASE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"
ERROR = "aws:cdk:error"
DOCKER = f"""#!{sys.executable}
import hashlib, json, os, pathlib, sys, urllib.request
words = sys.argv[1:]
with open(os.environ["TOLD"], "a") as told:
    given = "" if sys.stdin.isatty() else sys.stdin.read()
    told.write(json.dumps({{"words": words, "input": given, "context": os.listdir()}}) + "\\n")
if words[:2] == ["buildx", "build"]:
    lines = [line.split() for line in open(words[words.index("--file") + 1]) if line.startswith("COPY ")]
    assert all(os.path.exists(source) for _, *sources, _ in lines for source in sources), lines
if words[:2] == ["buildx", "build"]:
    import boto3
    output = dict(part.split("=", 1) for part in words[words.index("--output") + 1].split(","))
    repository, tag = output["name"].split("/", 1)[1].split(":")
    kind = "oci.image" if output["oci-mediatypes"] == "true" else "docker.distribution"
    media = os.environ.get("MEDIA", "application/vnd." + kind + ".manifest.v2+json")
    layer = {{"mediaType": "x", "size": 1, "digest": "sha256:" + hashlib.sha256(tag.encode()).hexdigest()}}
    manifest = {{"schemaVersion": 2, "mediaType": media, "config": layer, "layers": [layer]}}
    boto3.client("ecr").put_image(
        repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest), imageManifestMediaType=media
    )
    scan = {{"repositoryName": repository, "imageId": {{"imageTag": tag}}, **json.loads(os.environ["SCAN"])}}
    told = json.dumps({{"results": [scan], "region": "eu-west-1"}}).encode()
    urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/moto-api/static/ecr/scan-finding-results", told)
    boto3.client("ecr").start_image_scan(repositoryName=repository, imageId={{"imageTag": tag}})
"""
CLEAN = {"imageScanStatus": {"status": "ACTIVE"}, "imageScanFindings": {"enhancedFindings": []}}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ecr(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A registry with the platform's repositories; the fake docker comes first on PATH."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    for name, value in {
        "PATH": f"{docker.parent}{os.pathsep}{os.environ['PATH']}",
        "TOLD": str(tmp_path / "told"),
        "AWS_ENDPOINT_URL": address,
        "SCAN": json.dumps(CLEAN),
        **KEYS,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("ecr")
    for name in images.IMAGES:
        client.create_repository(repositoryName=SETTINGS.platform.repository(name), imageTagMutability="IMMUTABLE")
    yield client
    for name in images.IMAGES:
        client.delete_repository(repositoryName=SETTINGS.platform.repository(name), force=True)
    if noted := list(parameters()):
        boto3.client("ssm").delete_parameters(Names=noted)


def told(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]


def found(root: Path = ROOT) -> tuple[images.Image, ...]:
    return images.images(root, SETTINGS.platform)


def test_each_image_is_built_as_sagemaker_takes_it_and_its_digest_is_the_registrys(ecr: Any, tmp_path: Path) -> None:
    digests = images.publish(ROOT, ecr, found())
    for image in found():
        held = ecr.describe_images(repositoryName=image.repository)["imageDetails"]
        assert [(one["imageTags"], one["imageDigest"]) for one in held] == [([image.tag], digests[image.name])]
    builds = [call["words"] for call in told(tmp_path) if call["words"][0] == "buildx"]
    assert len(builds) == len(images.IMAGES)
    sent = [call["context"] for call in told(tmp_path) if call["words"][0] == "buildx"]
    assert sent == [["millrace"]] * len(builds), "the builder is sent what is copied, and nothing else"
    for image, words in zip(found(), builds, strict=True):
        assert words[:2] == ["buildx", "build"]
        assert (ROOT / words[words.index("--file") + 1]).is_file()
        assert {"--provenance=false", "--sbom=false", "linux/amd64"} <= set(words)
        assert f"name={image.uri}," in words[words.index("--output") + 1]
        assert f"BASE={BASE if image.name == 'training' else bases.PYTHON}" in words


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what images are made from, as the working folder."""
    folder = tmp_path / "repository"
    for name in ("millrace", "workloads"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "sample"))
    shutil.copyfile(ROOT / "cdk.json", folder / "cdk.json")
    monkeypatch.chdir(folder)
    return folder


def parameters() -> dict[str, str]:
    """The digests that the account holds, by parameter."""
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/millrace-dev/", Recursive=True)
    return {one["Name"]: one["Value"] for page in pages for one in page["Parameters"]}


def test_the_whole_writes_each_digest_under_the_tag_of_its_sources(ecr: Any, root: Path) -> None:
    digests = images.run(root, "dev")
    first = {f"/millrace-dev/image/{image.name}/{image.tag}": digests[image.name] for image in found(root)}
    assert parameters() == first
    changed = root / "millrace" / "serving" / "rows.py"
    changed.write_text(f"{changed.read_text()}# another\n")
    second = images.run(root, "dev")
    assert second["inference"] != digests["inference"]
    (inference,) = (image for image in found(root) if image.name == "inference")
    assert parameters() == {**first, f"/millrace-dev/image/inference/{inference.tag}": second["inference"]}


def test_the_image_that_serves_is_copied_from_the_stage_of_which_versions_are_pulled(
    ecr: Any, root: Path, tmp_path: Path
) -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/0"
    source = {"account": "111122223333", "stage": "test", "key_arn": key, "signing_key_arn": key}
    (root / "cdk.json").write_text(json.dumps({"context": {"stages": {"dev": {"pulls_from": source}}}}))
    with pytest.raises(ConfigurationError, match="push: expected an image in the repository"):
        images.run(root, "dev")  # this docker copies nothing
    calls = [call["words"] for call in told(tmp_path)]
    assert "111122223333.dkr.ecr.eu-west-1.amazonaws.com" in [words[-1] for words in calls if words[0] == "login"]
    assert [words[1] for words in calls if words[0] == "buildx"] == ["build", "build", "imagetools"]
    (inference,) = (image for image in found(root) if image.name == "inference")
    there = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/millrace-test-inference:{inference.tag}"
    assert calls[-1][2:] == ["create", "--prefer-index=false", "--tag", inference.uri, there]


def test_a_checkout_knows_which_digests_the_account_lacks(ecr: Any, root: Path) -> None:
    platform = SETTINGS.platform
    tags = images.image_tags(root, platform)
    wanted = {name: f"/millrace-dev/image/{name}/{tag}" for name, tag in tags.items()}
    assert images.missing_digests(platform, tags) == wanted
    images.run(root, "dev")
    assert images.missing_digests(platform, tags) == {}
    assert images.missing_digests(platform, {**tags, "training": "another"}) == {
        "training": "/millrace-dev/image/training/another"
    }
    elsewhere = settings_for("dev", account="210987654321", region="eu-west-1").platform
    assert images.missing_digests(elsewhere, images.image_tags(root, elsewhere)) == {}, "not the caller's account"


def test_an_image_that_sagemaker_would_refuse_is_refused(ecr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA", "application/vnd.oci.image.index.v1+json")
    with pytest.raises(ConfigurationError, match=r"expected application/vnd\.docker.*got.*oci\.image\.index"):
        images.publish(ROOT, ecr, found())


def test_the_templates_name_the_parameters_of_their_commit(assemblies: dict[str, Path]) -> None:
    """CloudFormation reads them at deployment; a stack has those of the images that it runs."""
    named = {}
    for path in assemblies["dev"].glob("*.template.json"):
        given = json.loads(path.read_text()).get("Parameters", {}).values()
        named[path.name.split(".")[0].rpartition("-")[2]] = {
            one["Default"] for one in given if "/image/" in one["Default"] and one["Type"].startswith("AWS::SSM::")
        }
    tags = images.image_tags(ROOT, SETTINGS.platform)
    expected = {name: f"/millrace-dev/image/{name}/{tag}" for name, tag in tags.items()}
    assert {room: names for room, names in named.items() if names} == {
        "training": set(expected.values()),
        "monitoring": {expected["processing"]},
    }
    whole = "".join(path.read_text() for path in assemblies["dev"].glob("*.template.json"))
    assert "millrace-dev-training@" in whole
    assert not re.search(r"millrace-dev-(training|processing|inference):", whole)


def errors_in(folder: Path) -> dict[str, list[str]]:
    stacks = {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.metadata.json")}
    return {
        name: [one["data"] for lines in metadata.values() for one in lines if one["type"] == ERROR]
        for name, metadata in stacks.items()
    }


def test_a_missing_digest_is_an_error_that_says_what_writes_it(ecr: Any, tmp_path: Path) -> None:
    """Only of the stacks that run the image: the platform's, with the repositories, is deployed before any is there."""
    app = build(SETTINGS, workloads=[ROOT / "workloads" / "electricity"], outdir=str(tmp_path / "without"))
    refuse_missing_images(app, SETTINGS)
    app.synth()
    errors = {name: said for name, said in errors_in(tmp_path / "without").items() if said}
    assert {name.rpartition("-")[2] for name in errors} == {"training", "monitoring"}
    tag = images.image_tags(ROOT, SETTINGS.platform)["processing"]
    assert errors["millrace-dev-electricity-monitoring"] == [
        f"image processing: expected its digest in the SSM parameter /millrace-dev/image/processing/{tag}, got none; "
        "`make images STAGE=dev` writes it"
    ]
    images.run(ROOT, "dev")
    app = build(SETTINGS, workloads=[ROOT / "workloads" / "electricity"], outdir=str(tmp_path / "with"))
    refuse_missing_images(app, SETTINGS)
    app.synth()
    assert not any(errors_in(tmp_path / "with").values())


def test_a_base_without_a_digest_is_named_and_one_with_is_not(
    ecr: Any, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the build, and by the synthesis as a warning."""
    known = bases.pins(root)
    bases.write(root, dict.fromkeys(known))
    images.run(root, "dev")
    said = capsys.readouterr().err
    assert f"got none for {BASE}, {bases.PYTHON}; `make bases AWS=--aws` writes them" in said
    assert said.strip() == images.say_of_bases(root, found(root))
    bases.write(root, dict.fromkeys(known, f"sha256:{'a' * 64}"))
    images.run(root, "dev")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("stage", "like"), [("dev", None), ("prod", None), ("live", "prod")])
def test_a_base_without_a_digest_is_an_error_of_prod(
    stage: str, like: Literal["prod"] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(stage, account="123456789012", region="eu-west-1", options=Options(like=like))
    instances = aws_images.training_instances(like or stage)
    known = dict.fromkeys(bases.pins(ROOT), f"sha256:{'a' * 64}")
    monkeypatch.setattr(bases, "pins", lambda _: known)
    # No workload of this repository has an instance for the stage `live`.
    monkeypatch.setattr(aws_images, "training_instances", lambda _: instances)

    def told(**context: str) -> list[tuple[str, str]]:
        bare = cdk.App(analytics_reporting=False, context=context)
        stack = cdk.Stack(bare, "one")
        check_bases(bare, settings)
        found = Annotations.from_stack(stack)
        every = (*found.find_warning("*", Match.any_value()), *found.find_error("*", Match.any_value()))
        return [(one.level.value, str(one.entry)) for one in every]

    assert told() == []
    known.update(dict.fromkeys(known))
    ((level, said),) = told()
    assert level == ("WARNING" if stage == "dev" else "ERROR")
    assert "make bases AWS=--aws" in said
    ((level, _),) = told(bases="unpinned")
    assert level == "WARNING", "templates that nobody deploys"
