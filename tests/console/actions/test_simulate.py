"""A policy that was simulated is written to workload.yaml, whose other lines stay."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.console.actions.simulate import declared_policy, keys_of, write_keys
from millrace.errors import RunError, WorkloadError
from millrace.simulation.simulation import RetrainingPolicy
from millrace.workload.load import load_workload
from tests.electricity import HOME

BY_ERROR = RetrainingPolicy(train_days=56, error_bound=0.25, error_windows=2, cool_down_days=28)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(HOME, tmp_path / "electricity", ignore=shutil.ignore_patterns("sample"))
    return tmp_path / "electricity"


@pytest.mark.parametrize(
    "policy", [BY_ERROR, replace(BY_ERROR, error_bound=None, error_windows=1, every_days=28), RetrainingPolicy()]
)
def test_a_written_policy_is_the_declared_one(folder: Path, policy: RetrainingPolicy) -> None:
    path = folder / "workload.yaml"
    for one in (BY_ERROR, policy):
        write_keys(path, keys_of(one, 7, ()))
    found = declared_policy(load_workload(folder))
    assert found
    assert replace(found, error_windows=policy.error_windows) == policy
    if policy.error_bound:
        assert found.error_windows == policy.error_windows


def test_other_lines_and_their_remarks_stay(folder: Path) -> None:
    path = folder / "workload.yaml"
    before = path.read_text().splitlines()
    write_keys(path, keys_of(BY_ERROR, 7, ["input-drift", "figures"]))
    after = path.read_text().splitlines()
    gone = [line.split(":")[0].strip() for line in before if line not in after]
    assert gone == ["schedule", "error_windows", "alarms", "schedule", "cool_down_days"]
    assert {"  false_alarm_rate: 0.01", "  alarms: [error, figures]"} <= {*after}


def test_a_value_that_is_refused_changes_nothing(folder: Path) -> None:
    path = folder / "workload.yaml"
    before = path.read_text()
    with pytest.raises(WorkloadError):
        write_keys(path, {("retraining", "cool_down_days"): -1})
    assert path.read_text() == before


def test_a_section_on_one_line_is_refused(folder: Path) -> None:
    path = folder / "workload.yaml"
    path.write_text(path.read_text().replace("budget:\n  monthly_usd: 50", "budget: {monthly_usd: 50}"))
    with pytest.raises(RunError, match="section budget"):
        write_keys(path, {("budget", "monthly_usd"): 9})
