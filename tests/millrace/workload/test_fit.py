"""What `workload.yaml` predicts from must be what the contract holds: at synth, before anything runs."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from millrace.contract.ahead import Ahead
from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.evaluation.gates.simple import Simple
from millrace.evaluation.naive.rule import NaiveGate
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from millrace.workload.tuning import Tuning

SHIPPED = Path(__file__).resolve().parents[3] / "workloads" / "electricity"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped workload, to be changed."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "electricity", ignore=shutil.ignore_patterns("sample")))


def change(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def check(folder: Path) -> None:
    check_fit(load_workload(folder), check_contract(folder))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"column": "nswpric"}, "did you mean 'nswprice'"),
        ({"column": "class"}, "the split"),
        ({"column": "timestamp"}, "without the event time"),
        ({"column": "day_of_week", "pieces": 1}, "one text"),
        ({"column": ["day_of_week", "nswprice"]}, None),
    ],
)
def test_an_entity_is_a_column_that_names_something(folder: Path, column: dict[str, Any], expected: str | None) -> None:
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["training"] |= {"split": {"by": "group", **column}, "walk_forward_steps": 0}
    document["training"] |= {"validation_days": 0, "test_days": 0, "train_days": None}
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(WorkloadError, match=expected) if expected else nullcontext():
        check(folder)


@pytest.mark.parametrize("valid", ["[0, 1, 2]", "[0]", "[0, 2]"])
def test_a_label_of_other_than_two_classes_is_refused(folder: Path, valid: str) -> None:
    change(folder, "contract.yaml", "validValues: [0, 1]", f"validValues: {valid}")
    with pytest.raises(WorkloadError, match="class: expected two validValues"):
        check(folder)


def test_true_is_not_the_number_one(folder: Path) -> None:
    change(folder, "workload.yaml", "label: class\n", "label: class\n  positive: true\n")
    with pytest.raises(WorkloadError, match="the positive class True"):
        check(folder)


def test_a_feature_that_comes_twice_is_refused(folder: Path) -> None:
    """Its tensor, or its entry, would be that of one of both."""
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["prediction"]["features"].append({"name": "nswprice"})
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(WorkloadError, match=r"features: expected names that come once, got \['nswprice'\]"):
        check(folder)


def test_a_feature_that_has_no_encoding_is_refused(folder: Path) -> None:
    price = "logicalType: number\n        physicalType: DOUBLE\n        required: true\n"
    price += "        logicalTypeOptions: {minimum: 0, maximum: 1}\n      - name: vicdemand"
    bytes_ = "logicalType: string\n        physicalType: BINARY\n        required: true\n      - name: vicdemand"
    change(folder, "contract.yaml", price, bytes_)
    with pytest.raises(
        WorkloadError,
        match=r"vicprice: expected .* encoder.*number, category, boolean, .*, got 'a binary'",
    ):
        check(folder)


def test_the_base_rate_needs_no_lag_and_the_season_does(folder: Path) -> None:
    change(
        folder,
        "workload.yaml",
        "{kind: seasonal_naive, lag_hours: 24, margin: 0.01}",
        "{kind: base_rate, margin: 0.02}",
    )
    assert load_workload(folder).gates.baseline.kind == "base_rate"
    change(folder, "workload.yaml", "{kind: base_rate, margin: 0.02}", "{kind: seasonal_naive, margin: 0.02}")
    with pytest.raises(WorkloadError, match="lag_hours"):
        load_workload(folder)


class Moving(NaiveGate):
    """A rule that the catalogue does not have: the mean of the last hours."""

    kind: Literal["moving_mean"]
    hours: float

    @property
    def label_age_hours(self) -> float:
        return self.hours


AIR_QUALITY = SHIPPED.with_name("air_quality")


@pytest.mark.parametrize("lag_hours", [23.5, 24])
def test_the_naive_rule_uses_labels_that_are_known(lag_hours: float) -> None:
    """Its horizon is 24 hours."""
    workload, contract = load_workload(AIR_QUALITY), check_contract(AIR_QUALITY)
    for rule in (
        workload.gates.baseline.model_copy(update={"lag_hours": lag_hours}),
        Moving.model_validate({"kind": "moving_mean", "hours": lag_hours, "margin": 0}),
    ):
        gates = workload.gates.model_copy(update={"baseline": rule})
        changed = workload.model_copy(update={"gates": gates})
        if lag_hours >= workload.prediction.horizon_hours:
            check_fit(changed, contract)
            continue
        with pytest.raises(
            WorkloadError, match=rf"gates\.baseline: expected labels of 24 hours .*23.5 hours in {rule.kind}"
        ):
            check_fit(changed, contract)


def test_smoothed_labels_are_for_classes() -> None:
    """What is trained on is a number there."""
    workload, contract = load_workload(AIR_QUALITY), check_contract(AIR_QUALITY)
    parameters = dict(workload.training.parameters) | {"label_smoothing": 0.1}
    changed = workload.model_copy(update={"training": workload.training.model_copy(update={"parameters": parameters})})
    with pytest.raises(WorkloadError, match=r"training\.parameters\.label_smoothing: expected no such parameter"):
        check_fit(changed, contract)


def retask(folder: Path, task: str, valid: list[object] | None = None) -> None:
    """The same workload for another task: its label a float, or text of these words."""
    path = folder / "contract.yaml"
    document = yaml.safe_load(path.read_text())
    for table in document["schema"]:
        label = next(column for column in table["properties"] if column["name"] == "class")
        if valid is None:
            label |= {"logicalType": "number", "physicalType": "DOUBLE"}
            label.pop("quality", None)  # the two tables share the column
        else:
            label |= {"logicalType": "string", "physicalType": "STRING"}
            label["quality"][0]["arguments"]["validValues"] = valid
    path.write_text(yaml.safe_dump(document))
    text = (folder / "workload.yaml").read_text()
    (folder / "workload.yaml").write_text(text.replace("task: binary", f"task: {task}"))


def test_three_classes_need_three_values(folder: Path) -> None:
    retask(folder, "multiclass", ["up", "down"])
    with pytest.raises(WorkloadError, match="class: expected three validValues or more"):
        check(folder)
    retask(folder, "multiclass", ["up", "down", "same"])
    check(folder)


@pytest.mark.parametrize(
    ("task", "valid", "fallback", "expected"),
    [
        ("binary", ["a", "b"], "[{constant: a}]", "prediction.fallback.constant: expected a probability"),
        ("multiclass", ["a", "b", "c"], "[{constant: d}]", "prediction.fallback.constant: expected one of"),
        ("regression", None, "[{constant: much}]", "prediction.fallback.constant: expected a number, got 'much'"),
        ("binary", ["a", "b"], "[{constant: 0.5}, rule]", "prediction.fallback: expected .* a constant answers every"),
        ("binary", ["a", "b"], "[rule, rule]", "prediction.fallback: expected .* a constant answers every"),
        ("binary", ["a", "b"], "[rule, previous]", "prediction.fallback: expected .* a constant answers every"),
        ("binary", ["a", "b"], "[previous, rule]", "rollout.warm_hours: expected some hours, .* got 0"),
    ],
)
def test_a_fallback_that_is_no_answer_of_the_task_is_refused(
    folder: Path, task: str, valid: list[object] | None, fallback: str, expected: str
) -> None:
    retask(folder, task, valid)
    change(folder, "workload.yaml", "label: class\n", f"label: class\n  positive: a\n  fallback: {fallback}\n")
    with pytest.raises(WorkloadError, match=expected):
        check(folder)


def test_a_history_needs_a_family_that_takes_it(folder: Path) -> None:
    change(
        folder, "workload.yaml", "features: [day_of_week,", "features: [{name: load, history: [nswdemand], hours: 24},"
    )
    with pytest.raises(WorkloadError, match=r"numbers and categories for the family feedforward, got 'load'"):
        check(folder)


@pytest.mark.parametrize("name", ["class", "prices"])
def test_the_label_and_a_column_that_is_not_there_are_no_features(folder: Path, name: str) -> None:
    change(folder, "workload.yaml", "features: [day_of_week,", f"features: [{name},")
    told = r"electricity/workload.yaml: prediction.features: expected columns of the contract that a row to score has: "
    with pytest.raises(WorkloadError, match=f"{told}.*, transfer.*, got '{name}'"):
        check(folder)


@pytest.mark.parametrize("section", ["training", "rollout"])
def test_an_instance_type_without_a_price_is_named_with_file_and_stage(folder: Path, section: str) -> None:
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document[section]["instance"]["prod"] = "ml.m5.lrge"
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    told = rf"^electricity/workload\.yaml: {section}\.instance\.prod: expected one of ml\.t3\.medium, ml\.m5\.large, .*"
    with pytest.raises(WorkloadError, match=rf"{told}\(did you mean 'ml\.m5\.large'\?\), got 'ml\.m5\.lrge'$"):
        check(folder)


def test_a_family_that_cannot_take_the_tensors_stops_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.models.feedforward.declaration.TENSORS", ("categories",))
    with pytest.raises(WorkloadError, match=r"prediction\.features: expected .*feedforward, got 'numbers'"):
        check(folder)


BINARY_WORTH = "{true_positive: 5, false_positive: -3, false_negative: -4, true_negative: 1}"
MISFITS = {
    "a column that is not there": (None, "slices: {columns: [region], max_error: 0.3}", r"\['region'\]"),
    "a group that is not there": (None, "fairness: {columns: [sex], max_error_difference: 0.1}", r"\['sex'\]"),
    "a worth of several classes for two": (
        None,
        "value: {unit: EUR, decisions: 100, worth: {right: 1, wrong: -1}}",
        "worth: true_positive, false_positive",
    ),
    "a worth of two classes for several": (
        "multiclass",
        f"value: {{unit: EUR, decisions: 100, worth: {BINARY_WORTH}}}",
        "worth: right, wrong, pairs",
    ),
    "a log loss of numbers": ("regression", "simple: {kind: linear, measure: log_loss}", "measure: error for answers"),
    "a pair of classes that are not there": (
        "multiclass",
        "value: {unit: EUR, decisions: 100, worth: {right: 1, wrong: -1, pairs: {a: {z: -9}}}}",
        "none called z",
    ),
    "parity without a positive class": (
        "multiclass",
        "fairness: {columns: [day_of_week], max_demographic_parity_difference: 0.1}",
        "max_error_difference alone",
    ),
    "nothing may be missing": (None, "robustness: {missing: 0.1, max_rise: 0.1}", "noise alone"),
}
"""The task, the gate, what is said."""
FITTING = (
    "simple: {kind: boosted_trees, otherwise: warn}",
    "slices: {columns: [day_of_week], max_error: 0.3}",
    "fairness: {columns: [day_of_week], max_demographic_parity_difference: 0.1}",
    f"value: {{unit: EUR, decisions: 100, worth: {BINARY_WORTH}}}",
    "selective: {max_error: 0.05, min_coverage: 0.2}",
    "robustness: {noise: 0.1, max_rise: 0.1}",
    "memorisation: {max_gap: 0.1}",
    "leakage: {max_feature: 0.95, max_duplicates: 0.01}",
    "plausibility: {}",
    "freshness: {max_age_days: 30}",
)


@pytest.mark.parametrize("case", MISFITS)
def test_a_gate_that_could_not_be_judged_stops_here(folder: Path, case: str) -> None:
    """Not after the training, which is paid for by then."""
    task, gate, expected = MISFITS[case]
    if task:
        retask(folder, task, None if task == "regression" else ["a", "b", "c"])
    if task == "regression":
        change(folder, "workload.yaml", "  calibration: {max_ece: 0.15}\n", "")
    change(folder, "workload.yaml", "  size: {max_mb: 10}\n", f"  size: {{max_mb: 10}}\n  {gate}\n")
    with pytest.raises(WorkloadError, match=expected):
        check(folder)


def test_all_gates_fit_where_they_can_be_judged(folder: Path) -> None:
    gates = "".join(f"  {gate}\n" for gate in FITTING)
    change(folder, "workload.yaml", "  size: {max_mb: 10}\n", f"  size: {{max_mb: 10}}\n{gates}")
    check(folder)


def test_a_search_may_try_only_what_the_tensors_allow() -> None:
    shipped = SHIPPED.parent / "xray"
    workload, contract = load_workload(shipped), check_contract(shipped)
    for channels, fits in (([[8, 16], [16]], True), ([[8], [8] * 6], False)):
        tuning = Tuning(parameters={"channels": channels}, max_jobs=2, budget_usd=9)
        declared = workload.model_copy(update={"tuning": tuning})
        if fits:
            check_fit(declared, contract)
            continue
        with pytest.raises(WorkloadError, match="pixels or more for 6 blocks"):
            check_fit(declared, contract)


def test_trees_take_no_images() -> None:
    shipped = SHIPPED.parent / "xray"
    workload, contract = load_workload(shipped), check_contract(shipped)
    for kind, fits in (("linear", True), ("boosted_trees", False)):
        gates = workload.gates.model_copy(update={"simple": Simple(kind=kind)})
        declared = workload.model_copy(update={"gates": gates})
        if fits:
            check_fit(declared, contract)
            continue
        with pytest.raises(WorkloadError, match=r"expected kind: linear, as boosted_trees takes no image"):
            check_fit(declared, contract)


@pytest.mark.parametrize(
    ("column", "of", "good"),
    [
        ("DEWP", "PRES", True),
        ("DEWP", "pm2.5", False),  # the label, which nobody knows ahead
        ("DEWP", "timestamp", False),
        ("DEWP", "DEWP", False),
        ("DEWP", "cbwd", False),  # of another kind
        ("DEWP", "rain", False),
    ],
)
def test_what_is_known_ahead_is_another_column_of_its_kind(column: str, of: str, *, good: bool) -> None:
    workload, contract = load_workload(AIR_QUALITY), check_contract(AIR_QUALITY)
    ahead = Ahead(column=of, hours=24)
    columns = [
        replace(one, ahead=ahead, required=False) if one.name == column else one for one in contract.rows.columns
    ]
    changed = replace(contract, rows=replace(contract.rows, columns=tuple(columns)))
    if good:
        check_fit(workload, changed)
        return
    with pytest.raises(WorkloadError) as raised:
        check_fit(workload, changed)
    assert raised.value.field == f"{column}, customProperties.ahead"


def test_what_is_known_ahead_is_not_itself_taken_from_later_rows() -> None:
    workload, contract = load_workload(AIR_QUALITY), check_contract(AIR_QUALITY)
    ahead = {"DEWP": Ahead(column="TEMP", hours=24), "TEMP": Ahead(column="PRES", hours=24)}
    columns = [
        replace(one, ahead=ahead[one.name], required=False) if one.name in ahead else one
        for one in contract.rows.columns
    ]
    with pytest.raises(WorkloadError) as raised:
        check_fit(workload, replace(contract, rows=replace(contract.rows, columns=tuple(columns))))
    assert raised.value.field == "DEWP, customProperties.ahead"
    assert str(raised.value.came).startswith("TEMP")


@pytest.mark.parametrize(
    ("workload", "hours", "expected"),
    [
        ("electricity", 48, "known_keys: expected a feature with a history"),
        ("air_quality", 47.5, "known_keys.hours: expected 48 hours or more, twice the longest history, got 47.5"),
        ("air_quality", 48, ""),
    ],
)
def test_known_keys_cover_the_longest_history(workload: str, hours: float, expected: str, tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED.parent / workload, tmp_path / workload, ignore=shutil.ignore_patterns("sample"))
    declared = yaml.safe_load((folder / "workload.yaml").read_text()) | {"known_keys": {"hours": hours}}
    (folder / "workload.yaml").write_text(yaml.safe_dump(declared))
    if not expected:
        check(folder)
        return
    with pytest.raises(WorkloadError, match=expected):
        check(folder)


@pytest.mark.parametrize(
    ("lag_hours", "known", "floor", "expected"),
    [
        (24, None, "", "prediction.fallback: expected a rule .* or, .* known_keys, got 'seasonal_naive'"),
        (24, 24, "", ""),
        (24, 23, "", "known_keys.hours: expected 24 hours or more, as far as gates.baseline looks back, got 23.0"),
        (24, 24, "policy: {floor: {labels: 96}}", "prediction.fallback: expected .* without a floor"),
    ],
)
def test_a_rule_that_looks_back_needs_known_keys(
    lag_hours: float, known: float | None, floor: str, expected: str, folder: Path
) -> None:
    declared = yaml.safe_load((folder / "workload.yaml").read_text()) | yaml.safe_load(floor or "{}")
    declared["gates"]["baseline"] = {"kind": "seasonal_naive", "lag_hours": lag_hours, "margin": 0.02}
    declared["prediction"]["fallback"] = ["rule"]
    if known:
        declared["known_keys"] = {"hours": known}
    (folder / "workload.yaml").write_text(yaml.safe_dump(declared))
    if not expected:
        check(folder)
        return
    with pytest.raises(WorkloadError, match=expected):
        check(folder)
