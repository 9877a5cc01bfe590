"""What is said of a run that has ended, to the one who dropped one of its drops."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import NoReturn

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from millrace.console.cli import app as cli
from millrace.console.cli import follow
from tests.functions.cold_start import NAMES


def test_an_interrupt_ends_the_waiting_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def describe_execution(**_: str) -> NoReturn:
        sys.exit(130)  # as the handler of the signal does, wherever it comes

    errors = SimpleNamespace(ExecutionDoesNotExist=ClientError)
    states = SimpleNamespace(describe_execution=describe_execution, exceptions=errors)
    environment = SimpleNamespace(client=lambda _: states, platform=NAMES.platform)
    monkeypatch.setenv("MILLRACE_WORKLOAD", NAMES.workload)
    with pytest.raises(SystemExit) as ended:
        follow.follow(environment, NAMES, NAMES.execution_arn("train", "0123abcd"), said=True)  # type: ignore[arg-type]
    assert ended.value.code == 130
    stage = f" --stage {NAMES.platform.stage}" if NAMES.platform.stage != "local" else ""
    told = f"millrace: no longer waits, what was started goes on: look with `millrace runs{stage}`"
    assert capsys.readouterr().err.strip() == told


def test_a_phase_that_lasts_is_one_line_in_a_pipe() -> None:
    lines, now = [], [0.0]
    progress = follow.Progress(show=lines.append, epoch=lambda _: "epoch 1", is_terminal=False, clock=lambda: now[0])
    training = [(at, "train: Training") for at in (1, 3.9, 4.1, 9)]
    for at, phase in ((0, "train: Budget"), *training, (10, "train: Gating")):
        now[0] = at
        progress.move(phase, "job")
    assert lines == ["train: Training"]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("millrace runs --workload elec", "electricity"),
        ("millrace drop x --feed sco", "scoring"),
        ("millrace versions --stage pr", "prod"),
        ("millrace new x --kind multic", "multiclass"),
        ("millrace audit list --event model.r", "model.refused"),
        ("millrace runs --limit 1 --limit 2 --workload elec", "electricity"),
        ("millrace show abc", ""),
    ],
)
def test_names_are_completed(line: str, completed: str) -> None:
    """As bash asks: the words of the line and the number of the last. Without a cloud no run is known."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_MILLRACE_COMPLETE": "complete_bash"}
    environment = {**os.environ, **words, "AWS_ENDPOINT_URL": "http://localhost:1", "AWS_MAX_ATTEMPTS": "1"}
    program = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'millrace'; from millrace.console.cli.app import run; run()",
    ]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (completed, "")


def test_each_command_has_an_example_and_takes_an_option_once() -> None:
    for command in (*cli.app.registered_commands, *cli.audit.registered_commands):
        assert command.callback is not None
        assert command.cls is cli.Once
        assert "Example" in (command.callback.__doc__ or ""), command.callback.__name__


def test_a_shell_that_names_a_dead_cloud_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise EndpointConnectionError(endpoint_url="http://localhost:9/")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9")
    with pytest.raises(
        SystemExit, match="AWS_ENDPOINT_URL of this shell names http://localhost:9: `unset AWS_ENDPOINT_URL`"
    ):
        cli.typed()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(
        SystemExit, match=r'^millrace: AWS: Could not connect to the endpoint URL: "http://localhost:9/"$'
    ):
        cli.typed()


PARQUET = """
import io, sys
import pyarrow as pa, pyarrow.parquet as pq
from millrace.console.cli import app
def read():
    file = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(200)), "of": [[{"k": 1}]] * 200}), file)
    pq.read_table(io.BytesIO(file.getvalue())).to_pylist()
    print("read")
    raise SystemExit(int(sys.argv[1]))
app.app = read
app.run()
"""


@pytest.mark.parametrize(
    "status", [pytest.param(0, marks=pytest.mark.night("by day another status, by the same road")), 3]
)
def test_a_command_that_has_read_a_file_ends_with_its_status(status: int) -> None:
    """By `sys.exit` most of these processes abort: Arrow's threads are not ended in time."""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", PARQUET, str(status)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, "read\n", "")
