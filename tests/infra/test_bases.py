"""The base images: listed once, pinned where a digest is known, and looked up by one command."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from millrace.errors import ConfigurationError
from millrace.infra import aws_images, bases, images
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE as ROOT

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
