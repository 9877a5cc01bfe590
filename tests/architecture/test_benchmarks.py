"""A benchmark whose bar is missed fails: `make bench` counts exit statuses."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import benchmarks
from benchmarks import conclude
from benchmarks.burst import SIMULATED, Outcome
from benchmarks.exchangeable import Kept as Acts
from benchmarks.false_alarms import Cell as Window
from benchmarks.false_alarms import Found
from benchmarks.floor import Held
from benchmarks.ladder import CONTROL, Cell, Judged
from benchmarks.monitor_run import Run
from benchmarks.promise import Kept
from benchmarks.unlabelled import Window as Slice

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
ENGINES = {"ours": 1.0, "polars": 2.0, "duckdb": 3.0, "pandera": 4.0, "great_expectations": 40.0}
FAMILY = {"family": "cnn", "answers": 1000, "different": 0, "times": 1.1}
BURST = Outcome(effects=SIMULATED, repeated=0, executions=1, dead=0, held=0, hours=1.0)
ABOVE = Held(name="a stream", accuracy=0.75, alone=0.7, below=0.01, worst=-0.01, below_alone=0.2, worst_alone=-0.1)
KEPT = Kept(name="a stream", error=0.05, coverage=0.45, hindsight=0.5, far=0.1)
EQUAL = Judged(
    cell=Cell(name="one a block", stream_days=1, block_days=1), horizon=168, promoted=0.05, stopped=0.05,
    mean_labels=160.0, median_days=200.0, requests=3200.0,
)  # fmt: skip
BETTER = replace(EQUAL, cell=Cell(name="single requests", stream_days=0, block_days=0, gain=0.01), promoted=0.8)
WEEK = replace(EQUAL, cell=replace(EQUAL.cell, name=CONTROL), promoted=0.11)
CANARY = {"bad_median": 330.0, "bad_95": 850.0, "slow_95": 3000.0, "clean_stopped": 0.01}
RUN = Run(cpu_s=9.0, peak_mb=1000, calls=40, files=60, decisions=1_000_000)
QUIET = Found(cell=Window(stream="independent"), judged=1_000, false=5, seen=950)
NOBODY = np.zeros((200, 2), bool)
THEIRS = NOBODY | [False, True]
LADDER = {"found": [EQUAL, BETTER, WEEK], "canary": CANARY, "candidates": 2000}
PEERS = {"MAPIE": Acts(broken=0.0, coverage=0.3), "score-select": Acts(broken=0.2, coverage=0.5)}
EXCHANGEABLE = {"few rows": PEERS | {"ours": Acts(broken=0.03, coverage=0.4)}}
DECISIONS = {"written_us": 30.0, "bare_us": 15.0, "absorbed_us": 8.0, "whole_us": 30.0, "added_mb": 200.0}
RETRAINED = {"accuracy": 0.775, "retrainings": 16, "regret": {25: 1.2, 50: 1.25}, "seconds": 1.0}
STREAMS = {"abrupt": True, "gradual": True, "recurring": True, "inputs": True, "none": False}
CONTRADICTED = {"none": 0.08, "covariate": 0.07, "concept": 1.0}
LABELS = {
    "fewer": 1.81,
    "covered": {"income": 0.95},
    "contradicted": CONTRADICTED,
}
NEAR = Slice(column="sex", error=0.08, estimated={"ours": 0.081, "PAPE": 0.078, "test": 0.14})
UNLABELLED = {"found": [NEAR], "weeks": [NEAR], "outside": 0.01}
STRANGERS = {"tables": 9, "proposed": 1.0, "tracebacks": 0, "within": 0.9, "first": 0.6, "median": 0.0, "worst": 0.04}
HELD: dict[str, dict[str, Any]] = {
    "ages": {"cold": 1.1, "warm": 1.9, "known_s": 3.0, "known_mb": 500.0},
    "bulk": {"wall_s": 400.0, "peak_gb": 1.5, "again": 0.00098},
    "burst": {"simulated": BURST, "alone": replace(BURST, hours=5.0)},
    "company": {"found": [FAMILY]},
    "consumers": {"made": 10_000, "lost": 0, "twice": 0, "failed": 100},
    "decisions": DECISIONS,
    "drift": {"times_as_fast": 103.0, "column_bytes": 2_000, "more_mb": 0.9},
    "entities": {"found": 28, "shaped": 22, "wrong": 0, "slowest_s": 1.4},
    "exchangeable": {"found": EXCHANGEABLE},
    "false_alarms": {"found": [QUIET]},
    "floor": {"found": [ABOVE]},
    "image_shifts": {"found": {"digits": {("noise large", 1.0, 200): THEIRS[:, ::-1], ("none", 0.0, 200): NOBODY}}},
    "kills": {"different": 0, "in_writes": 40},
    "labels": LABELS,
    "ladder": LADDER,
    "loop": {"loop_s": 10.0, "api_calls": 1000},
    "monitor_run": {"rows": 1_000_000, "young": RUN, "old": RUN},
    "prediction": {"cpu_us": 10.0},
    "promise": {"found": [KEPT]},
    "retraining": {"electricity": RETRAINED, "streams": STREAMS},
    "review": {"lost": 0, "twice": 0, "first_s": 0.2, "failed": 9},
    "scoring": {"ratio": 1.1, "peak_mb": 100.0},
    "serving": {"ratio": 2.0, "ours_us": 50.0, "resident_mb": 60.0},
    "strangers": STRANGERS,
    "shadow": {"pairs": [(1.05, 1.0), (2.0, 1.0), (1.0, 2.0)]},
    "small_drops": {"took_s": 200.0, "beside_s": 2.0},
    "training": {"feedforward": 0.95, "cnn": 0.95, "lstm": 0.95, "transformer": 0.95},
    "training_cpu": {"feedforward": 5.0, "cnn": 1.5, "gru": 1.5},
    "turned_labels": {"held": 20, "of": 1000, "learnt": {"12": 500}},
    "unlabelled": UNLABELLED,
    "validation": {"judge_s": ENGINES, "whole_s": ENGINES, "peak_mb": 100.0},
    "watching": {"quiet_weeks": {"ours": 0, "batch sample": 42}, "moved": {"ours": [1000] * 3}, "usd": 0.5},
}
"""By benchmark figures that are better than its bars."""


@pytest.fixture(autouse=True)
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The records of ratios: the drift was once 112 times as fast as scipy."""
    monkeypatch.setattr(benchmarks, "RECORD", tmp_path / "record.json")
    benchmarks.RECORD.write_text(json.dumps({"drift": {"better": "more", "best": {benchmarks.processor(): 112.0}}}))
    return benchmarks.RECORD


def concluded(name: str, figures: Mapping[str, Any]) -> None:
    conclude(importlib.import_module(f"benchmarks.{name}").verdict(**figures))


def test_every_benchmark_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("[a-z]*.py")} == set(HELD)


@pytest.mark.parametrize("name", HELD)
def test_a_benchmark_ends_with_its_verdict(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    concluded(name, HELD[name])
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["holds"]) == (name, True)
    assert (FOLDER / f"{name}.py").read_text().count("    conclude(verdict(") == 1


def test_a_missed_bar_is_exit_status_1() -> None:
    with pytest.raises(SystemExit) as ended:
        concluded("loop", HELD["loop"] | {"loop_s": 61.0})
    assert ended.value.code == 1


def test_a_ratio_is_a_tenth_worse_than_its_record_at_most(record: Path) -> None:
    concluded("drift", HELD["drift"] | {"times_as_fast": 120.0})
    assert json.loads(record.read_text())["drift"]["best"] == {benchmarks.processor(): 120.0}
    with pytest.raises(SystemExit, match=r"drift: expected at most 1.1 times its record 120.0, got 1.17"):
        concluded("drift", HELD["drift"])


def test_what_cannot_be_measured_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="not measured: expected a C compiler"):
        importlib.import_module("benchmarks.serving").main()


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it is measured")
def test_without_a_gpu_training_fails_with_its_reason() -> None:
    with pytest.raises(SystemExit, match="not measured: expected a GPU that torch finds, got none"):
        importlib.import_module("benchmarks.training").main()
