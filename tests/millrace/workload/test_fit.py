"""What `workload.yaml` predicts from, and what it declares beside, must work with the contract: at synth, before
anything runs and is paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.contract.ahead import Ahead
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload, overlaps
from tests.builders import LABEL, NUMBER, columns
from tests.millrace.workload.declared import FOLDERS, GONE, check, valid
from tests.plant import write_plant

NO_DAYS = {"training.validation_days": 0, "training.test_days": 0, "training.train_days": None}


def by_group(column: Any, **more: Any) -> dict[str, Any]:
    return {"training.split": {"by": "group", "column": column, **more}, "training.walk_forward_steps": 0, **NO_DAYS}


def tasked(task: str, *classes: str) -> dict[str, Any]:
    """Electricity with another task: its label is text of these words, or a float."""
    if classes:
        return {"prediction.task": task, "contract": valid(*classes)}
    number = NUMBER | {"quality": GONE, "customProperties": [LABEL]}
    return {"prediction.task": task, "column class": number, "gates.calibration": GONE}


def falling_back(task: dict[str, Any], *answerers: Any) -> dict[str, Any]:
    return task | {"prediction.positive": "a", "prediction.fallback": [*answerers]}


def unmarked(contract: dict[str, Any]) -> None:
    """The second label is a plain column."""
    for column in columns(contract, "low"):
        column.pop("customProperties", None)


def dropped(contract: dict[str, Any]) -> None:
    labels = contract["schema"][1]["properties"]
    labels.remove(next(column for column in labels if column["name"] == "low"))


def looking_back(lag_hours: float, **known: Any) -> dict[str, Any]:
    """The rule of a day before answers while the model does not."""
    baseline = {"kind": "seasonal_naive", "lag_hours": lag_hours, "margin": 0.02}
    return {"gates.baseline": baseline, "prediction.fallback": ["rule"], **known}


HOSTED = {"rollout.host": "function", "rollout.max_instances": GONE, "rollout.invocations_per_instance": GONE}


def joining(feed: str = "training", **changes: Any) -> dict[str, Any]:
    """A query whose rows are told what was known of Victoria."""
    join = {"table": "power.vic", "key": ["day_of_week"], "at": "timestamp", "since": "seen", "columns": ["vicprice"]}
    query = {"schedule": "rate(1 day)", "feed": feed, "sql": "SELECT 1", "tables": {"power.vic": "s3://power/vic/"}}
    return {"queries": {"day": query | {"joins": [join | changes]}}}


TWO, THREE, AMOUNT = tasked("binary", "a", "b"), tasked("multiclass", "a", "b", "c"), tasked("regression")
WORTH = {"true_positive": 5, "false_positive": -3, "false_negative": -4, "true_negative": 1}
VALUE = {"unit": "EUR", "decisions": 100}
IN_ORDER = "prediction.fallback: expected .* a constant answers every"
AS_BYTES = {"logicalType": "string", "physicalType": "BINARY", "logicalTypeOptions": GONE}
FITTING = {
    "simple": {"kind": "boosted_trees", "otherwise": "warn"},
    "slices": {"columns": ["day_of_week"], "max_error": 0.3},
    "fairness": {"columns": ["day_of_week"], "max_demographic_parity_difference": 0.1},
    "value": VALUE | {"worth": WORTH},
    "selective": {"max_error": 0.05, "min_coverage": 0.2},
    "robustness": {"noise": 0.1, "max_rise": 0.1},
    "memorisation": {"max_gap": 0.1},
    "leakage": {"max_feature": 0.95},
    "freshness": {"max_age_days": 30},
}
CASES: list[tuple[str, dict[str, Any], str | None]] = [
    # The entity of a split.
    ("electricity", by_group("nswpric"), "did you mean 'nswprice'"),
    ("electricity", by_group("class"), "the split"),
    ("electricity", by_group("timestamp"), "without the event time"),
    ("electricity", by_group("day_of_week", pieces=1), "one text"),
    ("electricity", by_group(["day_of_week", "nswprice"]), None),
    # The label and its task.
    ("electricity", {"contract": valid(0, 1, 2)}, "class: expected two validValues"),
    ("electricity", {"prediction.positive": True}, "the positive class True"),
    ("electricity", tasked("multiclass", "a", "b"), "class: expected three validValues or more"),
    ("electricity", THREE, None),
    ("air_quality", {"training.parameters.label_smoothing": 0.1}, r"label_smoothing: expected no such parameter"),
    ("multilabel", {"contract": unmarked}, r"prediction\.label: expected high, hot, .*, got 'high, hot, low'$"),
    ("multilabel", {"column low": NUMBER}, "role: label, or several booleans"),
    ("multilabel", {"contract": dropped}, "the label 'low'"),
    # The features.
    ("electricity", {"prediction.features": ["nswprice", "nswprice"]}, r"names that come once, got \['nswprice'\]"),
    (
        "electricity",
        {"column vicprice": AS_BYTES},
        r"vicprice: expected .* encoder.*number, category, .*, got 'a binary'",
    ),
    (
        "electricity",
        {"prediction.features": ["class"]},
        r"columns of the contract that a row to score has: .*got 'class'",
    ),
    (
        "electricity",
        {"prediction.features": ["period", {"name": "load", "history": ["nswdemand"], "hours": 24}]},
        "numbers and categories, for the family feedforward, got 'numbers",
    ),
    ("xray", {"tuning": {"parameters": {"channels": [[8, 16], [16]]}, "max_jobs": 2, "budget_usd": 9}}, None),
    (
        "xray",
        {"tuning": {"parameters": {"channels": [[8], [8] * 6]}, "max_jobs": 2, "budget_usd": 9}},
        "pixels or more for 6 blocks",
    ),
    # Who answers while the model does not.
    ("electricity", falling_back(TWO, {"constant": "a"}), "prediction.fallback.constant: expected a probability"),
    ("electricity", falling_back(THREE, {"constant": "d"}), "prediction.fallback.constant: expected one of"),
    ("electricity", falling_back(AMOUNT, {"constant": "much"}), "constant: expected a number, got 'much'"),
    ("electricity", falling_back(TWO, {"constant": 0.5}, "rule"), IN_ORDER),
    ("electricity", falling_back(TWO, "rule", "previous"), IN_ORDER),
    ("electricity", falling_back(TWO, "previous", "rule"), "rollout.warm_hours: expected some hours, .* got 0"),
    # Instances.
    (
        "electricity",
        {"training.instance.prod": "ml.m5.lrge"},
        r"^electricity/workload\.yaml: training\.instance\.prod: expected one of .*\(did you mean 'ml\.m5\.large'\?\)",
    ),
    # A run looks at 60 windows of seven days: 3 make a row, and 13 wait for labels that can be known.
    ("forecast", {"prediction.label": {"column": "truth", "horizon_hours": [1, 44 * 7 * 24]}}, None),
    ("forecast", {"prediction.label": {"column": "truth", "horizon_hours": [1, 7393]}}, "window_days: expected .* 44"),
    # Gates.
    ("electricity", {"gates.baseline": {"kind": "base_rate", "margin": 0.02}}, None),
    ("electricity", {"gates.baseline": {"kind": "seasonal_naive", "margin": 0.02}}, "lag_hours"),
    (
        "air_quality",
        {"gates.baseline.lag_hours": 23.5},
        r"gates\.baseline: expected labels of 24 hours .*23.5 hours in",
    ),
    ("electricity", {f"gates.{name}": bounds for name, bounds in FITTING.items()}, None),
    ("electricity", {"gates.slices": {"columns": ["region"], "max_error": 0.3}}, r"\['region'\]"),
    (
        "electricity",
        {"gates.value": VALUE | {"worth": {"right": 1, "wrong": -1}}},
        "worth: true_positive, false_positive",
    ),
    ("electricity", THREE | {"gates.value": VALUE | {"worth": WORTH}}, "worth: right, wrong, pairs"),
    ("electricity", AMOUNT | {"gates.simple": {"kind": "linear", "measure": "log_loss"}}, "measure: error for answers"),
    (
        "electricity",
        THREE | {"gates.value": VALUE | {"worth": {"right": 1, "wrong": -1, "pairs": {"a": {"z": -9}}}}},
        "none called z",
    ),
    (
        "electricity",
        THREE | {"gates.fairness": {"columns": ["day_of_week"], "max_demographic_parity_difference": 0.1}},
        "max_error_difference alone",
    ),
    ("electricity", {"gates.robustness": {"missing": 0.1, "max_rise": 0.1}}, "noise alone"),
    ("xray", {"gates.simple": {"kind": "linear"}}, None),
    ("xray", {"gates.simple": {"kind": "boosted_trees"}}, "expected kind: linear, as boosted_trees takes no image"),
    ("binary", {"gates.parts": {"margin": 0.1}}, "no such gate, as a row's answer is one"),
    ("forecast", {"gates.value": VALUE | {"worth": {"above": -1, "below": -1}}}, "a row's answer has several parts"),
    ("multilabel", {"gates.leakage": {"max_feature": 0.9}}, "no such gate, as a row's answer has"),
    ("forecast", {"gates.simple": {"kind": "linear"}}, "a row's answer has several numbers"),
    # The rows of each key that are known.
    ("electricity", {"known_keys": {"hours": 48}}, "known_keys: expected a feature with a history"),
    ("air_quality", {"known_keys": {"hours": 47.5}}, "48 hours or more, twice the longest history, got 47.5"),
    ("air_quality", {"known_keys": {"hours": 48}}, None),
    ("electricity", looking_back(24), "prediction.fallback: expected a rule .* known_keys, got 'seasonal_naive'"),
    ("electricity", looking_back(24, known_keys={"hours": 24}), None),
    (
        "electricity",
        looking_back(24, known_keys={"hours": 23}),
        "24 hours or more, as far as gates.baseline looks back",
    ),
    ("multilabel", looking_back(24, known_keys={"hours": 24}), "prediction.fallback: expected .* single label"),
    ("forecast", looking_back(24, known_keys={"hours": 24}), None),
    # What a query joins was known at the row's time.
    ("electricity", joining(), None),
    ("electricity", joining(at="period"), "joins.0.at: expected the event time of the rows, timestamp, .* look ahead"),
    ("electricity", joining(columns=["class"]), "columns known at the row's time: .* feed labels, got 'class'"),
    ("electricity", joining("labels"), "no join in the feed labels"),
    ("electricity", joining(columns=["vicprce"]), "did you mean 'vicprice'"),
    ("electricity", joining(since=""), "joins.0.since: "),
    ("electricity", joining(table="power.tas"), "expected power.tas of joins in tables"),
    # A function that runs the versions itself.
    ("electricity", HOSTED, None),
    ("electricity", {"rollout.host": "function"}, "rollout.invocations_per_instance: expected nothing"),
    ("electricity", HOSTED | {"gates.size": GONE}, "gates.size.max_mb: expected at most 128, .* got 'nothing'"),
    ("electricity", HOSTED | {"gates.size.max_mb": 200}, "expected at most 128, rollout.memory_mb / 8"),
    ("electricity", HOSTED | {"gates.size.max_mb": 200, "rollout.memory_mb": 2048}, None),
    ("xray", HOSTED | {"gates.size": {"max_mb": 9}}, "rollout.host: expected endpoint, .* got 'the image image among"),
]


@pytest.mark.parametrize(("base", "changes", "expected"), CASES)
def test_what_cannot_work_is_refused(base: str, changes: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    check(tmp_path, base, changes, expected)


COSTS = {"false_positive": 5.0, "false_negative": 40.0, "review": 2.0}
RIGHT_OR_WRONG, SURE = {"wrong": 1, "review": 2}, {"automate": {"confidence": 0.9}}
CARD = dict.fromkeys(("intended_use", "out_of_scope", "limitations", "risk_reason"), "Of a test.")
HIGH = {"card": CARD | {"risk": "high"}}
AUTOMATE = "policy.automate.costs"


def costs(**changes: Any) -> dict[str, Any]:
    return {"automate": {"costs": COSTS | changes}}


POLICIES: list[tuple[str, Any, dict[str, Any], tuple[str, Any] | None]] = [
    ("binary", SURE, {}, None),
    ("binary", {"automate": {"promised_error": 0.05}, "review_above": {"column": "load", "bound": 4}}, {}, None),
    ("binary", {"label_errors_a_day": 1}, {}, None),
    ("binary", {"held_out": 0.02, "review": {"hours": 48, "alarm_hours": 8}}, {}, None),
    ("binary", costs(), {}, None),
    ("binary", {}, {}, ("policy", "none of them")),
    ("binary", {"held_out": 0.1, "review": {"hours": 4, "alarm_hours": 4}}, {}, ("policy.review.alarm_hours", 4)),
    ("binary", {"automate": {}}, {}, ("policy.automate", "none")),
    (
        "binary",
        {"automate": {"confidence": 0.9, "promised_error": 0.1}},
        {},
        ("policy.automate", "confidence, promised_error"),
    ),
    ("regression", costs(), {}, (AUTOMATE, "the task regression")),
    ("multiclass", costs(), {}, (AUTOMATE, "false_positive, false_negative")),
    ("binary", {"automate": {"costs": RIGHT_OR_WRONG}}, {}, (AUTOMATE, "wrong")),
    ("binary", {"automate": {"costs": {"review": 2}}}, {}, (AUTOMATE, "review alone")),
    ("multiclass", {"automate": {"costs": RIGHT_OR_WRONG | {"classes": {"lo": 2}}}}, {}, (AUTOMATE, "lo")),
    ("binary", costs(), {"prediction.threshold": 0.3}, ("prediction.threshold", 0.3)),
    ("binary", {"held_out": 0.1}, {"prediction.costs": COSTS}, ("prediction.costs", COSTS)),
    ("forecast", {"label_errors_a_day": 1}, {}, ("policy.label_errors_a_day", "horizon_hours")),
    ("forecast", {"labels_before_model": 9}, {}, ("policy.labels_before_model", "horizon_hours")),
    ("binary", {"labels_before_model": 9}, {}, ("truth", "required: true")),
    ("regression", SURE, {}, ("policy.automate", "the task regression")),
    ("binary", {"review_above": {"column": "kind", "bound": 1}}, {}, ("policy.review_above.column", "kind")),
    ("binary", {"review_above": {"column": "truth", "bound": 1}}, {}, ("policy.review_above.column", "truth")),
    # Of a high risk is what a person decides in part.
    ("binary", GONE, HIGH, ("policy", "nothing")),
    ("binary", {"held_out": 0.1}, HIGH, ("policy", "shadowed, or held_out")),
    ("binary", {"automate": {"promised_error": 0.02}}, HIGH, None),
    (
        "binary",
        {"automate": {"promised_error": 0.02}, "shadowed": True},
        HIGH,
        ("policy", "shadowed, or held_out"),
    ),
    ("regression", {"review_above": {"column": "load", "bound": 2}}, HIGH, None),
]


@pytest.mark.parametrize(("task", "policy", "more", "refused"), POLICIES)
def test_a_policy_that_cannot_work_is_refused(
    task: str, policy: Any, more: dict[str, Any], refused: tuple[str, Any] | None, tmp_path: Path
) -> None:
    check(tmp_path, task, {"policy": policy, **more}, refused)


@pytest.mark.parametrize(
    ("ahead", "came"),
    [
        ({"DEWP": "PRES"}, None),
        ({"DEWP": "pm2.5"}, "pm2.5"),  # the label, which nobody knows ahead
        ({"DEWP": "timestamp"}, "timestamp"),
        ({"DEWP": "DEWP"}, "DEWP"),
        ({"DEWP": "cbwd"}, ""),  # of another kind
        ({"DEWP": "TEMP", "TEMP": "PRES"}, "TEMP"),  # itself taken from later rows
    ],
)
def test_what_is_known_ahead_is_another_column_of_its_kind(ahead: dict[str, str], came: str | None) -> None:
    workload, contract = load_workload(FOLDERS["air_quality"]), check_contract(FOLDERS["air_quality"])
    found = [
        replace(one, ahead=Ahead(column=ahead[one.name], hours=24), required=False) if one.name in ahead else one
        for one in contract.rows.columns
    ]
    changed = replace(contract, rows=replace(contract.rows, columns=tuple(found)))
    if came is None:
        check_fit(workload, changed)
        return
    with pytest.raises(WorkloadError) as raised:
        check_fit(workload, changed)
    assert (raised.value.field, str(raised.value.came).startswith(came)) == ("DEWP, customProperties.ahead", True)


def test_a_scoring_row_has_no_label_unless_it_is_one_ahead(tmp_path: Path) -> None:
    names = load_contract(write_plant(tmp_path, "multilabel").folder).table("scoring").names
    assert set(names).isdisjoint({"high", "low", "hot"})
    assert "truth" in load_contract(write_plant(tmp_path, "forecast").folder).table("scoring").names


THERE = ["cold", "heat_2", "water"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cold_2", ["cold"]),
        ("cold_", ["cold"]),
        ("cold", []),
        ("colder", []),
    ],
)
def test_one_begins_with_the_other_and_an_underscore(name: str, found: list[str]) -> None:
    assert overlaps(name, THERE) == found
