"""A team's own repository: what `millrace init` writes is what the suite deploys itself by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import aws_cdk
import pytest
import yaml
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
NEW = ["new", "shop", "--from", "rows.csv", "--label", "sold", "--minutes", "0"]
NO_CLOUD = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}


def test_a_project_holds_its_own_and_nothing_of_the_suite(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "shop"), "--no-npm"])
    assert done.exit_code == 0, done.output
    written = {
        path.relative_to(tmp_path / "shop").as_posix() for path in (tmp_path / "shop").rglob("*") if path.is_file()
    }
    assert written == {
        ".github/workflows/deploy.yml",
        ".github/workflows/plan.yml",
        ".gitignore",
        "README.md",
        "cdk.json",
        "package.json",
        "requirements.txt",
        "workloads/.gitkeep",
    }
    assert (tmp_path / "shop" / "cdk.json").read_text() == (ROOT / "cdk.json").read_text()
    wanted = json.loads((tmp_path / "shop" / "package.json").read_text())["devDependencies"]["aws-cdk"]
    assert f"aws-cdk@{wanted}" in (ROOT / "Makefile").read_text()
    pipeline = (tmp_path / "shop" / ".github" / "workflows" / "deploy.yml").read_text()
    assert not [
        word for job in yaml.safe_load(pipeline)["jobs"].values() for word in str(job).split() if word == "make"
    ]


def test_a_folder_with_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = CliRunner().invoke(app, ["init", str(tmp_path), "--no-npm"])
    assert isinstance(done.exception, ConfigurationError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment outside of the checkout: the wheel, and the packages that it stands on."""
    folder = tmp_path_factory.mktemp("installed")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-qq",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([*build, str(ROOT)], check=True)
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(f"{Path(aws_cdk.__file__).parents[1]}\n")
    return folder


def test_from_a_wheel_a_project_is_begun_declared_and_synthesized(installed: Path) -> None:
    python = installed / "env" / "bin" / "python"
    run = {"check": True, "env": {"PATH": os.environ["PATH"], **NO_CLOUD}, "stdout": subprocess.DEVNULL}
    millrace = [str(python), "-m", "millrace.console.cli"]
    subprocess.run([*millrace, "init", "shop", "--no-npm"], cwd=installed, **run)
    rows = "".join(f"{i % 13},{i % 11},{'yes' if i % 13 + i % 7 > 8 else 'no'}\n" for i in range(400))
    (installed / "shop" / "build").mkdir()
    (installed / "shop" / "build" / "layers").symlink_to(ROOT / "build" / "layers")  # a minute of pip
    (installed / "shop" / "rows.csv").write_text(f"size,weight,sold\n{rows}")
    subprocess.run([*millrace, *NEW], cwd=installed / "shop", **run)
    context = json.dumps({"stage": "local", "account": "123456789012", "region": "eu-west-1", "stagess": {}})
    run["env"] |= {"CDK_CONTEXT_JSON": context, "CDK_OUTDIR": str(installed / "shop" / "cdk.out")}
    subprocess.run([str(python), "-m", "millrace.infra.app"], cwd=installed / "shop", **run)
    assert (installed / "shop" / "cdk.out" / "millrace-local-shop-training.template.json").is_file()
    said = (installed / "shop" / "cdk.out" / "millrace-local-platform.metadata.json").read_text()
    assert "stagess in the context: expected " in said
    assert {path.name for path in (installed / "shop" / "build").iterdir()} >= {"bundles", "layers"}
    tops = {path.parts[0] for path in map(Path, zipfile.ZipFile(next(installed.glob("*.whl"))).namelist())}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"localcloud", "millrace"}
