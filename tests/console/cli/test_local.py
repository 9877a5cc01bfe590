"""The background cloud: found again, exported, noticed when gone, ended whole; with an app in test_aws_cli.py."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws
from typer.testing import CliRunner

from millrace.console.cli import app as cli
from millrace.console.cli.local import _move, _target
from millrace.console.local_cloud.instance import command_of, find_instance
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.local_cloud.processes import WORKER
from millrace.errors import RunError
from tests.localcloud.waiting import until

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 300.0


def millrace(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "millrace.console.cli", *words]
    environment = {**os.environ, **settings}
    return subprocess.run(
        program, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def told(*words: str, **settings: str) -> str:
    done = millrace(*words, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "build"
    yield folder
    told("down", "--yes", "--build", str(folder))


def test_it_is_found_again_exported_and_ended(build: Path) -> None:
    first = json.loads(told("up", "--empty", "--json", "--build", str(build)))
    exported = told("up", "--empty", "--export", "--build", str(build), AWS_PROFILE="nobody")
    shown = 'eval "$1"; echo "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_REGION $AWS_PROFILE"'
    shell = ["bash", "-c", shown, "bash", exported]
    seen = subprocess.run(shell, env={"AWS_PROFILE": "nobody"}, capture_output=True, text=True, check=True).stdout
    assert seen.split() == [first["endpoint_url"], "local", "eu-west-1"]
    instance = find_instance(build)
    assert instance is not None
    assert instance.environment == first["environment"]
    assert instance.cloud.now()
    assert (build / "up.json").stat().st_mode & 0o077 == 0, "it holds the secret of the run"
    unasked = millrace("down", "--build", str(build))
    assert f"removes {build.resolve()}/up: all rows, models, decisions and runs. Expected --yes" in unasked.stderr
    assert (unasked.returncode, find_instance(build)) == (1, instance)
    assert told("down", "--yes", "--build", str(build)) == f"The local cloud has ended, process {first['pid']}.\n"
    assert command_of(first["pid"]) == ""
    assert list(build.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        instance.cloud.now()


@pytest.mark.night("by day a cloud is stopped; a killed one is a rare event of one laptop")
def test_what_a_killed_cloud_left_is_swept_and_nobody_else(build: Path) -> None:
    """The control is the second process: it belongs to a cloud in another folder."""
    instance = json.loads(told("up", "--empty", "--json", "--build", str(build)))
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    ours, other = (WORKER.format(build.resolve() / folder / "local") for folder in ("up", "other"))
    with (
        subprocess.Popen(sleep, env=dict([ours.split("=", 1)]), stdout=subprocess.PIPE) as left,
        subprocess.Popen(sleep, env=dict([other.split("=", 1)]), stdout=subprocess.PIPE) as stranger,
    ):
        assert left.stdout is not None
        assert stranger.stdout is not None
        left.stdout.readline()
        stranger.stdout.readline()
        os.kill(instance["pid"], signal.SIGKILL)
        until(lambda: find_instance(build) is None)
        said = told("down", "--build", str(build))
        assert str(instance["pid"]) in said
        assert "has gone" in said
        assert "It had left" in said
        assert left.wait(WAIT_S) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()


def test_a_file_of_another_process_is_not_believed(tmp_path: Path) -> None:
    """Process numbers are used again: this test's own is not taken for a cloud, nor ended."""
    (tmp_path / "up.json").write_text(json.dumps({"endpoint_url": "http://localhost:1", "pid": os.getpid()}))
    assert find_instance(tmp_path) is None
    told("down", "--build", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_workload_is_refused_before_a_cloud_starts(tmp_path: Path) -> None:
    done = millrace("up", "--workload", "nope", "--build", str(tmp_path / "build"))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("millrace: --workload: expected one of ['air_quality'")
    assert not (tmp_path / "build").exists()


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that is the standard input."""
    master, slave = os.openpty()
    with os.fdopen(slave, "r") as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        yield master
    os.close(master)


@pytest.mark.parametrize(("answer", "is_meant"), [("n\n", False), ("y\n", True)])
def test_another_stage_is_torn_down_only_when_that_is_meant(
    tmp_path: Path,
    answer: str,
    is_meant: bool,
    terminal: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where the environment says which stage: `millrace down` alone asks first."""
    for name, value in {**KEYS, "MILLRACE_STAGE": "dev"}.items():
        monkeypatch.setenv(name, value)
    os.write(terminal, answer.encode())
    with mock_aws(), suppress(typer.Abort, SystemExit):
        cli.app(["down", "--build", str(tmp_path)], standalone_mode=False)
    printed = "".join(capsys.readouterr())
    assert "millrace-dev in account 123456789012, eu-west-1. Go on?" in printed
    assert ("no teardown machine is deployed" in printed) == is_meant


def test_nothing_is_torn_down_where_nobody_can_be_asked(tmp_path: Path) -> None:
    with mock_aws():
        done = CliRunner().invoke(cli.app, ["down", "--stage", "dev", "--build", str(tmp_path)], env=KEYS, input="y\n")
    assert "Expected --yes, since the standard input is no terminal" in str(done.exception)


@pytest.fixture
def deployed_income(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with a stack of the workload `income` at `dev`."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    template = json.dumps({"Resources": {"queue": {"Type": "AWS::SQS::Queue"}}})
    with mock_aws():
        boto3.client("cloudformation").create_stack(StackName="millrace-dev-income-training", TemplateBody=template)
        yield


@pytest.mark.usefixtures("deployed_income")
@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (
            "income",
            r"every endpoint, job and schedule of millrace-dev-income in account 123456789012, .*Expected --yes",
        ),
        ("delay", r"--workload: expected one of \['income'\] \(deployed at stage dev\), got 'delay'"),
    ],
)
def test_no_workload_is_removed_unasked_nor_one_that_is_not_deployed(tmp_path: Path, workload: str, said: str) -> None:
    words = ["down", "--stage", "dev", "--workload", workload, "--build", str(tmp_path)]
    assert re.search(said, str(CliRunner().invoke(cli.app, words, input="y\n").exception))
    assert boto3.client("cloudformation").describe_stacks()["Stacks"]


NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.mark.parametrize(("forward", "hours"), [("12h", 12), ("30d", 720), ("4w", 672), ("0h", 0), ("5d3h", 123)])
def test_a_time_forward_is_counted_from_now(forward: str, hours: int) -> None:
    assert _target(NOW, forward) == NOW + timedelta(hours=hours)


def test_what_is_no_time_forward_is_refused() -> None:
    assert _target(NOW, "") is None
    for forward in ("-3d", "a month"):
        with pytest.raises(RunError, match="--forward: expected"):
            _target(NOW, forward)


def test_a_line_names_what_is_waited_for_and_no_retry_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A run ends at the second look, and a consumer's decisions come again later."""
    looks: list[str] = []

    class Busy(LocalCloud):
        def _control(self, route: str, body: Mapping[str, Any] | None = None) -> Any:
            looks.append(route)
            return {"running": ["train 0123"] * (looks.count("idle") < 2), "retries": ["decisions of crm"]}

    _move(Busy(endpoint_url="", secret=""), NOW, told_s=0.0)
    assert looks == ["clock", "idle", "idle"]
    assert capsys.readouterr().err.splitlines()[0] == "2026-03-01: waits for train 0123"
