"""The lines of a policy that was simulated declare it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from millrace.console.actions.simulate import declared_policy, keys_of, lines_of
from millrace.simulation.simulation import RetrainingPolicy
from millrace.workload.load import load_workload
from tests.electricity import HOME

BY_ERROR = RetrainingPolicy(train_days=56, error_bound=0.25, error_windows=2, cool_down_days=28)


@pytest.mark.parametrize(
    "policy", [BY_ERROR, replace(BY_ERROR, error_bound=None, error_windows=1, every_days=28), RetrainingPolicy()]
)
def test_a_proposed_policy_is_the_declared_one(tmp_path: Path, policy: RetrainingPolicy) -> None:
    document = yaml.safe_load((HOME / "workload.yaml").read_text())
    del document["retraining"]["schedule"]
    for section, keys in yaml.safe_load(lines_of(keys_of(policy, 7, ["input-drift", "figures"]))).items():
        document[section] |= keys or {}
    assert ("error" in document["retraining"]["alarms"], document["retraining"]["alarms"][-1]) == (
        policy.error_bound is not None,
        "figures",
    )
    (folder := tmp_path / "electricity").mkdir()
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    found = declared_policy(load_workload(folder))
    assert found
    assert replace(found, error_windows=policy.error_windows) == policy
    if policy.error_bound:
        assert found.error_windows == policy.error_windows
