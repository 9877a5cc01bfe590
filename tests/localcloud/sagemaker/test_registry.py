"""Images as folders: COPY, entry points, isolation; and nothing is left when the cloud stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.containers import Images, build
from localcloud.sagemaker.packages import link
from tests.localcloud import tiny_images
from tests.localcloud.resources import Resources


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("app/main.py", "app/deep/inner.py", "one.txt", "two.txt", "notes.md"):
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "repository"


def image(repository: Path, text: str) -> tuple[Path, object]:
    folder = repository / "containers" / "made"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    root = repository.parent / "root"
    return root, build(folder / "Dockerfile", context=repository, root=root)


@pytest.mark.parametrize(
    ("copy", "found"),
    [
        ("COPY app/ /opt/program/", ["opt/program/deep/inner.py", "opt/program/main.py"]),
        ("COPY app /opt/program/app", ["opt/program/app/deep/inner.py", "opt/program/app/main.py"]),
        ("COPY one.txt /opt/renamed.txt", ["opt/renamed.txt"]),
        ("COPY one.txt two.txt /opt/", ["opt/one.txt", "opt/two.txt"]),
        ("COPY *.txt /opt/texts/", ["opt/texts/one.txt", "opt/texts/two.txt"]),
        ("WORKDIR /work\nCOPY one.txt here/", ["work/here/one.txt"]),
        ('COPY --chown=1:1 ["one.txt", "/opt/"]', ["opt/one.txt"]),
        ("COPY one.txt \\\n  # between\n  two.txt /opt/", ["opt/one.txt", "opt/two.txt"]),
    ],
)
def test_copy_as_docker_does(repository: Path, copy: str, found: list[str]) -> None:
    root, _ = image(repository, f"FROM base\n{copy}\n")
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("COPY nothing.txt /opt/", "found nothing"),
        ("COPY --from=builder /a /b", "another stage"),
        ("ONBUILD COPY one.txt /opt/", "does not cover the instruction ONBUILD"),
    ],
)
def test_what_is_not_understood_is_refused(repository: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        image(repository, f"FROM base\n{text}\n")


def test_command_lines(repository: Path) -> None:
    _, made = image(repository, 'FROM base\nENTRYPOINT ["python", "-m", "app"]\nCMD ["serve"]\n')
    assert made.arguments() == [sys.executable, "-m", "app", "serve"]  # type: ignore[attr-defined]
    assert made.arguments(command=("train",))[-1] == "train"  # type: ignore[attr-defined]
    # An entry point of the job's own drops the image's command.
    assert made.arguments(entrypoint=("python", "other.py")) == [sys.executable, "other.py"]  # type: ignore[attr-defined]


def test_an_image_is_found_by_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = Images(workspace=tmp_path / "workspace", repository=tiny_images.write(tmp_path / "repository"))
    assert images.find(tiny_images.uri("train")).name == "train"
    assert images.find("123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-prod-serve:abc").name == "serve"
    assert not images.why_not(tiny_images.uri("train"))
    assert capsys.readouterr().err.count("not done here: RUN echo nothing") == 2  # of each image once
    for other in (tiny_images.uri("nobody"), "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-serve:2.3"):
        with pytest.raises(LookupError, match=other.partition("@")[0]):
            images.find(other)


def test_assets_whose_dockerfiles_lie_alike_are_two_images(tmp_path: Path) -> None:
    for tag in "ab":
        (tmp_path / tag / "docker").mkdir(parents=True)
        (tmp_path / tag / "docker" / "Dockerfile").write_text(f"FROM x\nENV TAG={tag}\n")
    described = {tag: {"source": {"directory": tag, "dockerFile": "docker/Dockerfile"}} for tag in "ab"}
    (tmp_path / "one.assets.json").write_text(json.dumps({"dockerImages": described}))
    images = Images(workspace=tmp_path / "cloud", deployments=[{"assembly": str(tmp_path)}])
    found = {tag: images.find(f"1.dkr.ecr.eu-west-1.amazonaws.com/assets:{tag}") for tag in "ab"}
    assert [image.environment["TAG"] for image in found.values()] == ["a", "b"]
    assert found["a"].root != found["b"].root


def test_the_process_sees_its_image_and_not_the_repository(tmp_path: Path) -> None:
    images = Images(workspace=tmp_path / "workspace", repository=tiny_images.write(tmp_path / "repository"))
    made = images.find(tiny_images.uri("train"))
    names = ("train", "localcloud")
    look = f"import importlib.util as u, json, os; print(json.dumps([bool(u.find_spec(n)) for n in {names}]))"
    variables = made.variables(tmp_path / "ml")
    told = subprocess.run([sys.executable, "-c", look], env=variables, cwd=made.cwd, capture_output=True, check=True)
    assert json.loads(told.stdout) == [True, False]
    assert not [name for name in variables if name.startswith("AWS_")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's own processing image."""
    images = Images(workspace=tmp_path_factory.mktemp("workspace"))
    return images.find("account/millrace-local-processing:1").root


@pytest.mark.parametrize(("module", "there"), [("pyarrow", True), ("pydantic_core", True), ("pandas", False)])
def test_an_image_has_the_packages_that_it_names_and_what_they_need(site: Path, module: str, there: bool) -> None:
    """The host has all three."""
    environment = {"PYTHONPATH": str(site / ".isolate")}
    code = f"import importlib.util; assert importlib.util.find_spec({module!r}), 'not there'; import {module}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is there, done.stderr
    assert there or "not there" in done.stderr


def test_a_package_that_the_host_lacks_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="expected an installed package there-is-none, found none"):
        link(["there-is-none>=1"], tmp_path / "site")


def test_extras_are_followed_and_the_marker_of_another_system_is_not(tmp_path: Path) -> None:
    link(["moto[server]"], tmp_path / "server")
    link(["moto"], tmp_path / "plain")
    assert {"flask", "moto"} <= {path.name for path in (tmp_path / "server").iterdir()}
    assert not (tmp_path / "plain" / "flask").exists()
    assert not (tmp_path / "server" / "colorama").exists()


DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def group(sagemaker: Any, fresh: Callable[..., str]) -> str:
    name = fresh("group")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


@pytest.fixture
def register(sagemaker: Any, group: str) -> Callable[..., str]:
    """The ARN of a new version in the group."""

    def make(**more: Any) -> str:
        request = {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {
                "Containers": [{"Image": f"a/millrace-dev-inference@{DIGEST}", "ModelDataUrl": "s3://b/model.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "CustomerMetadataProperties": {"data": "d1", "code": "c1"},
            "ModelLifeCycle": {"Stage": "shadow", "StageStatus": "started"},
            **more,
        }
        arn: str = sagemaker.create_model_package(**request)["ModelPackageArn"]
        return arn

    return make


def test_an_update_keeps_what_it_does_not_name(register: Any, sagemaker: Any, group: str) -> None:
    arn = register()
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"weights": "w1"},
    )
    with pytest.raises(ClientError, match="does not cover CustomerMetadataPropertiesToRemove"):
        sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["code"])
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert told["ModelApprovalStatus"] == "Approved"
    assert told["CustomerMetadataProperties"] == {"data": "d1", "code": "c1", "weights": "w1"}
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [one["ModelPackageArn"] for one in approved["ModelPackageSummaryList"]] == [arn]


def test_a_group_has_a_policy_until_it_is_deleted(sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)
    sagemaker.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy="{}")
    assert sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"] == "{}"
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)


def test_refusals(register: Any, sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    register()
    with pytest.raises(ClientError, match="ConflictException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        register(ModelPackageGroupName="nobody")


def test_packages_without_a_group_are_refused_by_name(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="does not cover ModelPackageName"):
        sagemaker.create_model_package(ModelPackageName="alone")
    with pytest.raises(ClientError, match="expected a ModelPackageGroupName"):
        sagemaker.list_model_packages()


def test_only_an_approved_package_that_is_there_becomes_a_model(register: Any, sagemaker: Any, aws: Resources) -> None:
    package, name, role = register(), aws.fresh("model"), aws.role("sagemaker")

    def make(**container: Any) -> None:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)

    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus=status)
        with pytest.raises(ClientError, match=f"is {status}, expected Approved"):
            make(ModelPackageName=package)
    with pytest.raises(ClientError, match="Expected Image or ModelPackageName"):
        make(Environment={})
    gone = register()
    sagemaker.delete_model_package(ModelPackageName=gone)
    with pytest.raises(ClientError, match="does not exist"):
        make(ModelPackageName=gone)
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=name)
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    make(ModelPackageName=package)


def test_approval_is_told_on_the_bus(register: Any, sagemaker: Any, group: str, aws: Resources) -> None:
    detail = {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]}
    queue = aws.heard(**{"detail-type": ["SageMaker Model Package State Change"], "detail": detail})
    sagemaker.update_model_package(ModelPackageArn=register(), ModelApprovalStatus="Approved")
    assert json.loads(queue.take()["Body"])["detail"]["ModelPackageVersion"] == 1
