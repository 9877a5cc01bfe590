"""Which environment a command works in, and what is said when there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from moto import mock_aws

from millrace.console.environment import find_environment
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.stages import declared_options
from millrace.errors import EnvironmentNotFoundError
from tests.credentials import set_credentials

ROLE = "arn:aws:iam::123456789012:role/machine"


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def test_the_cloud_that_up_keeps_is_found(tmp_path: Path) -> None:
    # The command line of a cloud names its workspace; another process that has its id by now does not.
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", tmp_path / "up" / "local"], stdin=PIPE, stdout=PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline(), "only a program that runs has its command line"
        known = {"endpoint_url": "http://localhost:5999", "secret": "hush"}  # pragma: allowlist secret
        (tmp_path / "up.json").write_text(json.dumps({**known, "pid": process.pid}))
        environment = find_environment("local", tmp_path)
        process.kill()
    assert environment.client("s3").meta.endpoint_url == "http://localhost:5999"
    assert environment.cloud == LocalCloud(**known)
    assert environment.names("electricity").workload == "electricity"


def test_a_place_without_workloads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the repository no list of candidates would be a help."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    monkeypatch.chdir(tmp_path)
    for word in ("", "gas"):
        with pytest.raises(
            EnvironmentNotFoundError, match=r"expected a folder of workloads at .*: run it in a project"
        ):
            find_environment("local", tmp_path).names(word)


def test_of_several_workloads_the_only_deployed_one_needs_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_credentials(monkeypatch)
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    declare(tmp_path, "gas", "town_water")
    with mock_aws():
        environment = find_environment("dev", tmp_path)
        with pytest.raises(EnvironmentNotFoundError, match=r"expected one of \['gas', 'town_water'\], got none"):
            environment.names("")
        for machine in ("millrace-dev-town-water-ingest", "millrace-dev-town-water-train", "another"):
            environment.client("stepfunctions").create_state_machine(
                name=machine,
                definition='{"StartAt": "a", "States": {"a": {"Type": "Pass", "End": true}}}',
                roleArn=ROLE,
            )
        assert environment.names("").workload == "town_water"


def test_options_are_the_repository_s_or_those_beside_another_folder_of_workloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workloads").mkdir()
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    assert declared_options("local") == {}
    said = '{"context": {"stages": {"local": {"tracking": "%s"}}}}'
    for folder in ("repository", "."):
        (tmp_path / folder / "cdk.json").write_text(said % folder)
        assert declared_options("local") == {"tracking": folder}


def declare(folder: Path, *workloads: str) -> None:
    for name in workloads:
        (folder / name).mkdir()
        (folder / name / "workload.yaml").touch()


@pytest.mark.parametrize(
    ("stage", "told"), [("local", "start one with `millrace up`"), ("test", "expected one of .*'prod'.*, got 'test'")]
)
def test_no_place_is_told(tmp_path: Path, stage: str, told: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=told):
        find_environment(stage, tmp_path)


def test_a_cloud_whose_process_has_gone_is_told(tmp_path: Path) -> None:
    # The id is another process's by now: this one's.
    (tmp_path / "up.json").write_text(json.dumps({"endpoint_url": "http://localhost:5999", "pid": os.getpid()}))
    with pytest.raises(EnvironmentNotFoundError, match=r"process of .*up\.json has gone: `millrace up`"):
        find_environment("local", tmp_path)
