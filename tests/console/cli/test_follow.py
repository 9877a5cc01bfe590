"""What is said of a run that has ended, to the one who dropped one of its drops."""

import sys
from types import SimpleNamespace
from typing import NoReturn

import pytest

from millrace.console.cli import follow
from tests.functions.cold_start import NAMES


def test_an_interrupt_ends_the_waiting_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def describe_execution(**_: str) -> NoReturn:
        sys.exit(130)  # as the handler of the signal does, wherever it comes

    states = SimpleNamespace(describe_execution=describe_execution)
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
