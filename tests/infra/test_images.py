"""`make images` against a registry, with a docker that writes down what it is told and pushes a manifest."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra import images
from infra.app import images_of
from infra.settings import settings_for
from millrace.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = settings_for("dev", account="123456789012", region="eu-west-1")
BASE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"
DOCKER = f"""#!{sys.executable}
import hashlib, json, os, pathlib, sys
words = sys.argv[1:]
with open(os.environ["TOLD"], "a") as told:
    told.write(json.dumps({{"words": words, "input": "" if sys.stdin.isatty() else sys.stdin.read()}}) + "\\n")
if words[0] == "buildx" and not os.environ.get("PUSHES_NOTHING"):
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
"""


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
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("ecr")
    for name in images.IMAGES:
        client.create_repository(repositoryName=SETTINGS.platform.repository(name), imageTagMutability="IMMUTABLE")
    yield client
    for name in images.IMAGES:
        client.delete_repository(repositoryName=SETTINGS.platform.repository(name), force=True)


def told(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]


def found(root: Path = ROOT) -> tuple[images.Image, ...]:
    return images.images(root, SETTINGS.platform, training_base=BASE)


def test_each_image_is_built_as_sagemaker_takes_it_and_its_digest_is_the_registrys(ecr: Any, tmp_path: Path) -> None:
    digests = images.publish(ROOT, ecr, found())
    for image in found():
        held = ecr.describe_images(repositoryName=image.repository)["imageDetails"]
        assert [(one["imageTags"], one["imageDigest"]) for one in held] == [([image.tag], digests[image.name])]
    builds = [call["words"] for call in told(tmp_path) if call["words"][0] == "buildx"]
    assert len(builds) == len(images.IMAGES)
    for image, words in zip(found(), builds, strict=True):
        assert words[:2] == ["buildx", "build"]
        assert (ROOT / words[words.index("--file") + 1]).is_file()
        assert {"--provenance=false", "--sbom=false", "linux/amd64"} <= set(words)
        assert f"name={image.uri}," in words[words.index("--output") + 1]
        assert (f"BASE={BASE}" in words) == (image.name == "training")


def test_docker_is_logged_in_to_our_registry_and_to_awss(ecr: Any, tmp_path: Path) -> None:
    images.publish(ROOT, ecr, found())
    logins = [call for call in told(tmp_path) if call["words"][0] == "login"]
    account = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    assert [call["words"][-1] for call in logins] == [account, BASE.partition("/")[0]]
    assert all(call["input"] and call["input"] not in call["words"] for call in logins), "the word comes by stdin"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what images are made from."""
    folder = tmp_path / "repository"
    for name in ("containers", "jobs", "millrace", "workloads"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "sample"))
    for name in ("constraints.txt", "cdk.json"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_whole_writes_digests_that_the_app_reads(ecr: Any, root: Path) -> None:
    digests = images.run(root, "dev")
    noted = json.loads((root / "cdk.json").read_text())["context"]["images"]["dev"]
    assert noted == digests
    assert {uri.rpartition("@")[2] for uri in images_of(SETTINGS, noted).values()} == set(digests.values())


def test_an_unchanged_image_is_not_built_again_and_a_changed_one_is(ecr: Any, root: Path, tmp_path: Path) -> None:
    first = images.publish(root, ecr, found(root))
    assert images.publish(root, ecr, found(root)) == first
    changed = root / "jobs" / "serving" / "rows.py"
    changed.write_text(f"{changed.read_text()}# another\n")
    second = images.publish(root, ecr, found(root))
    assert {name for name in first if first[name] != second[name]} == {"inference"}
    assert sum(call["words"][0] == "buildx" for call in told(tmp_path)) == len(images.IMAGES) + 1


def test_an_image_that_sagemaker_would_refuse_is_refused(ecr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA", "application/vnd.oci.image.index.v1+json")
    with pytest.raises(ConfigurationError, match=r"expected application/vnd\.docker.*got.*oci\.image\.index"):
        images.publish(ROOT, ecr, found())


def test_a_push_that_left_nothing_is_noticed(ecr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHES_NOTHING", "1")
    with pytest.raises(ConfigurationError, match="expected an image in the repository"):
        images.publish(ROOT, ecr, found())


def test_digests_of_other_stages_stay(tmp_path: Path) -> None:
    file = tmp_path / "cdk.json"
    shutil.copyfile(ROOT / "cdk.json", file)
    before = json.loads(file.read_text())
    images.note(file, "prod", {"training": "sha256:0"})
    images.note(file, "dev", {"training": "sha256:1", "inference": "sha256:2"})
    after = json.loads(file.read_text())
    assert after["context"]["images"]["prod"] == {"training": "sha256:0"}
    assert {**after, "context": {**after["context"], "images": before["context"]["images"]}} == before


def test_the_templates_name_the_digests_of_the_context(tmp_path: Path) -> None:
    """The context arrives as the CDK's command line hands it over; an image without digest is told as unbuilt."""
    digest = f"sha256:{'a' * 64}"
    context = {"stage": "dev", "account": "123456789012", "region": "eu-west-1"}
    given = {
        "CDK_CONTEXT_JSON": json.dumps({**context, "images": {"dev": {"training": digest}}}),
        "CDK_OUTDIR": str(tmp_path),
        "CDK_VALIDATION": "false",
    }
    subprocess.run([sys.executable, "-m", "infra.app"], cwd=ROOT, env={**os.environ, **given}, check=True)
    text = (tmp_path / "millrace-dev-electricity-training.template.json").read_text()
    assert f"/millrace-dev-training@{digest}" in text
    assert "/millrace-dev-processing:unbuilt" in text


@pytest.mark.parametrize(("stage", "kind"), [("dev", "cpu"), ("prod", "cu")])
def test_the_base_is_awss_image_for_the_instances_that_train(stage: str, kind: str) -> None:
    assert images.training_base(ROOT, stage, "eu-west-1").partition("/pytorch:2.13-")[2].startswith(kind)


def test_the_builder_is_sent_what_is_copied() -> None:
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    dockerfiles = [path.read_text().replace("\\\n", " ") for path in ROOT.glob("containers/*/Dockerfile")]
    copies = [line.split()[:-1] for text in dockerfiles for line in re.findall(r"^COPY (.+)$", text, re.M)]
    assert {source.partition("/")[0] for sources in copies for source in sources} == sent


def test_the_module_is_what_make_calls() -> None:
    """`make images` asks for credentials before anything else; here there are none."""
    given = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.images", "--stage", "dev"], cwd=ROOT, env=given, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "NoCredentials" in done.stderr
