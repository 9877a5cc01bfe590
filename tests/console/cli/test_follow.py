"""What is said of a run that has ended, to the one who dropped one of its drops."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from millrace.console.cli import follow
from millrace.console.queries.runs import Run, RunDetail
from tests.functions.cold_start import NAMES

AT = datetime(2026, 11, 1, tzinfo=UTC)
COMMITTED = {
    "feed": "training", "table": "electricity_rows", "snapshot_id": "1", "rows_quarantined": 0, "rows_total": 48,
    "source": "s", "source_digest": "d", "duplicate": False, "duplicate_of": "", "has_champion": True,
}  # fmt: skip


def test_a_run_of_several_drops_is_named_by_the_drop_that_is_followed() -> None:
    ended = follow._ended(SimpleNamespace(), NAMES, of_two_drops(), said=False, drop_id="b")  # type: ignore[arg-type]
    assert follow.line_of(NAMES, ended) == "ingest 0123abcd (training/b.csv): SUCCEEDED, 0.0 s: 7 accepted"
    ended = follow._ended(SimpleNamespace(), NAMES, of_two_drops(), said=False)  # type: ignore[arg-type]
    assert "(training/a.csv and 1 more)" in follow.line_of(NAMES, ended)


def of_two_drops() -> RunDetail:
    drops = [COMMITTED | {"drop_id": name, "rows_accepted": rows} for name, rows in (("a", 41), ("b", 7))]
    objects = [{"key": f"electricity/training/{name}.csv", "drop_id": name} for name in "ab"]
    given: dict[str, Any] = {"as_of": "2026-11-01T00:00:00Z", "detail": {"feed": "training", "objects": objects}}
    arn = NAMES.execution_arn("ingest", "0123abcd")
    run = Run(machine="ingest", name="0123abcd", arn=arn, status="SUCCEEDED", started=AT, stopped=AT, redrives=0)
    return RunDetail(
        run=run, input=given, output=given | {"validation": {"answer": {"drops": drops}}}, error="", cause="",
        redrivable=False, why_not_redrivable="", steps=[], parent="", children=[],
    )  # fmt: skip


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


def test_a_terminal_has_the_epoch_beside_the_phase() -> None:
    lines, now = [], [0.0]
    progress = follow.Progress(
        show=lines.append, epoch=lambda job: f"epoch 2 of {job}", is_terminal=True, clock=lambda: now[0]
    )
    for at, job in ((0, ""), (0.5, "job"), (2, "job"), (2.1, "job")):
        now[0] = at
        progress.move("train: Training", job)
    assert lines == ["train: Training", "train: Training", *["train: Training, epoch 2 of job"] * 2]
