"""What `millrace new` proposes around the answers of each kind of workload, and that `--plain` leaves it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.new.decisions import _canary, _promised
from millrace.errors import ConfigurationError
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests.kinds import KINDS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_WORKLOADS", "workloads")


def declared(name: str, *more: str) -> Workload:
    """The workload that is written for the rows of this kind, as synthesis reads it."""
    kind = KINDS[name]
    pq.write_table(kind.rows.slice(0, kind.known), "rows.parquet")
    labels = [word for label in kind.label for word in ("--label", label)]
    words = ["new", name, "--from", "rows.parquet", *labels, *kind.words, "--minutes", "0", "--force", *more]
    CliRunner().invoke(app, words, catch_exceptions=False)
    return load_workload(Path.cwd() / "workloads" / name)


PEOPLE = ("marital_status",)
PROPOSED: dict[str, dict[str, Any]] = {
    "age": {"people": PEOPLE},
    "span": {"people": PEOPLE},
    "intent": {"promised": 0.05},
    "demand": {"above": "demand", "hours": 48, "phases": ("canary", "live")},
    "tags": {},
    "recommended": {"promised": 0.05},
    "pneumonia": {"promised": 0.05},
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_gets_what_it_can_have(name: str) -> None:
    found, asks = declared(name), PROPOSED[name]
    policy, gates = found.policy, found.gates
    assert policy is not None
    assert policy.floor is not None
    assert found.prediction.fallback == ("previous", "rule")
    assert policy.promised_error == asks.get("promised")
    assert (policy.review_above.column if policy.review_above else None) == asks.get("above")
    assert policy.shadowed is bool({"promised", "above"} & asks.keys())
    assert (found.known_keys.hours if found.known_keys else None) == asks.get("hours")
    assert found.rollout.phases == asks.get("phases", ("live",))
    assert (gates.fairness.columns if gates.fairness else ()) == asks.get("people", ())


def test_plain_has_the_model_alone() -> None:
    found = declared("recommended", "--plain", "--calls-a-day", "9000")
    assert (found.policy, found.known_keys, found.prediction.fallback) == (None, None, ())
    assert (found.rollout.phases, found.rollout.warm_hours) == (("live",), 0)
    assert not {"robustness", "slices", "fairness"} & found.gates.declared().keys()


def test_gates_of_few_test_days_judge_the_figure_itself() -> None:
    """No interval is drawn from fewer than five days, and a gate that waits for one would refuse every model."""
    times = np.datetime64("2026-01-01", "us") + np.arange(1200) * np.timedelta64(15, "m")
    cells = np.random.default_rng(0).normal(size=1200)
    pq.write_table(pa.table({"at": times, "x": cells, "late": (cells > 0.3).astype(int)}), "rows.parquet")
    words = ["new", "late", "--from", "rows.parquet", "--label", "late", "--minutes", "0"]
    CliRunner().invoke(app, words, catch_exceptions=False)
    found = load_workload(Path.cwd() / "workloads" / "late")
    assert (found.training.test_days, found.gates.robustness.refuse) == (3, "when_likely")
    assert declared("recommended").gates.robustness.refuse == "when_certain"


def test_the_class_that_hurts_is_to_be_found() -> None:
    found = declared("recommended", "--hurts", "0", "--positive", "0", "--calls-a-day", "500")
    assert found.gates.recall is not None
    assert found.prediction.threshold < 0.5
    assert (found.rollout.canary.share, found.rollout.canary.requests) == (0.5, 375)
    for words in (["--hurts", "0"], ["--hurts", "2"]):
        with pytest.raises(ConfigurationError, match="--hurts"):
            declared("recommended", *words)


@pytest.mark.parametrize(
    ("rule_error", "rows", "promised"),
    [(0.3, 59, 0.05), (0.3, 58, None), (0.05, 149, 0.02), (0.03, 299, 0.01), (0.03, 298, None), (0.01, 9999, None)],
)
def test_an_error_is_promised_that_so_many_rows_can_show(rule_error: float, rows: int, promised: float | None) -> None:
    assert _promised(rule_error, rows) == promised


@pytest.mark.parametrize(("calls", "share"), [(39, None), (40, 0.5), (800, 0.25), (2000, 0.1)])
def test_a_canary_needs_calls(calls: float, share: float | None) -> None:
    found = _canary(calls)
    assert (found and found["share"]) == share
