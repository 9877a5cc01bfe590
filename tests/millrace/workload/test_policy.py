"""A policy that cannot work is refused where the workload is loaded, with field, expected and came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.load import load_contract
from millrace.errors import WorkloadError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.plant import write_plant

CARD = dict.fromkeys(("intended_use", "out_of_scope", "limitations", "risk_reason"), "Of a test.")


BINARY = {"false_positive": 5.0, "false_negative": 40.0, "review": 2.0}


def check(root: Path, policy: Any, *, task: str = "binary", risk: str = "", prediction: Any = None) -> None:
    folder = write_plant(root, task).folder
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["prediction"] |= prediction or {}
    document |= {"policy": policy} if policy is not None else {}
    document |= {"card": {**CARD, "risk": risk}} if risk else {}
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    check_fit(load_workload(folder), load_contract(folder))


@pytest.mark.parametrize(
    "policy",
    [
        {"automate": {"confidence": 0.9}},
        {"automate": {"promised_error": 0.05}, "review_above": {"column": "load", "bound": 4}, "held_out": 0.01},
        {"review_above": {"column": "load", "bound": -1.5}},
        {"label_errors_a_day": 1},
        {"held_out": 0.02, "review": {"hours": 48, "alarm_hours": 8}},
        {"automate": {"costs": BINARY}},
    ],
)
def test_a_policy_is_read(policy: dict[str, Any], tmp_path: Path) -> None:
    check(tmp_path, policy)


@pytest.mark.parametrize(
    ("policy", "more", "field", "came"),
    [
        ({}, {}, "policy", "none of them"),
        ({"held_out": 0.1, "review": {"hours": 4, "alarm_hours": 4}}, {}, "policy.review.alarm_hours", 4),
        ({"automate": {}}, {}, "policy.automate", "none"),
        (
            {"automate": {"confidence": 0.9, "promised_error": 0.1}},
            {},
            "policy.automate",
            "confidence, promised_error",
        ),
        ({"automate": {"costs": BINARY}}, {"task": "regression"}, "policy.automate.costs", "the task regression"),
        ({"automate": {"costs": BINARY}}, {"task": "multilabel"}, "policy.automate.costs", "the task multilabel"),
        (
            {"automate": {"costs": BINARY}},
            {"task": "multiclass"},
            "policy.automate.costs",
            "false_positive, false_negative",
        ),
        ({"automate": {"costs": {"wrong": 1, "review": 2}}}, {}, "policy.automate.costs", "wrong"),
        ({"automate": {"costs": {"review": 2}}}, {}, "policy.automate.costs", "review alone"),
        ({"automate": {"costs": BINARY | {"review": 0}}}, {}, "policy.automate.costs.review", 0),
        (
            {"automate": {"costs": {"wrong": 1, "classes": {"lo": 2}, "review": 2}}},
            {"task": "multiclass"},
            "policy.automate.costs",
            "lo",
        ),
        ({"automate": {"costs": BINARY}}, {"prediction": {"threshold": 0.3}}, "prediction.threshold", 0.3),
        ({"held_out": 0.1}, {"prediction": {"costs": BINARY}}, "prediction.costs", BINARY),
        ({"automate": {"promised_error": 0.5}}, {}, "policy.automate.promised_error", 0.5),
        ({"held_out": 0.6}, {}, "policy.held_out", 0.6),
        ({"label_errors_a_day": 0}, {}, "policy.label_errors_a_day", 0),
        ({"label_errors_a_day": 1}, {"task": "forecast"}, "policy.label_errors_a_day", "horizon_hours"),
        ({"automate": {"confidence": 0.9}}, {"task": "regression"}, "policy.automate", "the task regression"),
        ({"review_above": {"column": "kind", "bound": 1}}, {}, "policy.review_above.column", "kind"),
        ({"review_above": {"column": "lod", "bound": 1}}, {}, "policy.review_above.column", "lod"),
        ({"review_above": {"column": "truth", "bound": 1}}, {}, "policy.review_above.column", "truth"),
        (None, {"risk": "high"}, "policy", "nothing"),
        ({"held_out": 0.1}, {"risk": "high"}, "policy", "held_out alone"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(
    policy: Any, more: dict[str, Any], field: str, came: object, tmp_path: Path
) -> None:
    with pytest.raises(WorkloadError) as caught:
        check(tmp_path, policy, **more)
    assert (caught.value.field, caught.value.came) == (field, came)


def test_of_high_risk_is_what_a_person_decides_in_part(tmp_path: Path) -> None:
    check(tmp_path, {"automate": {"promised_error": 0.02}}, risk="high")
    check(tmp_path, {"review_above": {"column": "load", "bound": 2}}, task="regression", risk="high")
    check(tmp_path, None, risk="medium")
