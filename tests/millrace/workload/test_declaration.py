"""A wrong workload file stops with file, field, what was expected and what came."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from millrace.errors import WorkloadError
from millrace.models.catalogue import FAMILIES
from millrace.tasks.catalogue import TASKS
from millrace.workload.declaration import Feature
from millrace.workload.load import load_workload
from tests.shipped import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped workload, to be broken."""
    copy = tmp_path / "electricity"
    copy.mkdir()
    source = next(folder for folder in SHIPPED if folder.name == "electricity")
    (copy / "workload.yaml").write_bytes((source / "workload.yaml").read_bytes())
    return copy


def change(folder: Path, path: str, value: object) -> None:
    file = folder / "workload.yaml"
    document = yaml.safe_load(file.read_text())
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    file.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_workload_loads(shipped: Path) -> None:
    assert load_workload(shipped).name == shipped.name


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("training.family", "perceptron", f"expected one of {', '.join(sorted(FAMILIES))}, got"),
        ("training.parameters", {"hidden": [64], "epoch": 3}, "epoch"),
        ("training.parameters", {"epochs": 0}, "greater than or equal to 1"),
        ("training.instances", 3, "expected a multiple of 3 in the stage "),
        ("training.instances", 9, "less than or equal to 8"),
        ("prediction.task", "ranking", f"expected one of {', '.join(TASKS)}, got 'ranking'"),
        (
            "prediction.kind",
            "binary",
            "the keys task, label, positive, threshold, huber, quantiles, thresholds, key, event_time, features, ",
        ),
        ("prediction.features", [], "at least 1 item"),
        ("gates.size.max_mb", float("inf"), "a finite number"),
        ("prediction.features", [{"name": "load", "history": ["demand"]}], "history and hours together"),
        ("prediction.features", [{"name": "load", "hours": 3}], "history and hours together"),
        ("rollout.phases", ["live", "canary"], "ends with 'live'"),
        ("rollout.phases", ["canary", "canary", "live"], "at most once"),
        ("rollout.phases", ["canary", "shadow", "live"], "in this order"),
        ("rollout.phases", ["assist", "live"], "got 'assist'"),
        ("prediction.label_delay", 24, "(did you mean 'label'?), got 'label_delay'"),
        ("monitors.label_delay_hours", 0, "greater than 0"),
        ("customers", [], "expected one of the keys name, owner, prediction, "),
        ("monitors.false_alarm_rate", 2, "less than 0.5"),
        ("monitors.false_alarm_rate", 0.0001, "greater than or equal to 0.001"),
        ("budget.monthly_usd", "much", "a valid number"),
        ("retraining.without_labels", "floor", "expected keep, or floor beside policy.floor"),
        ("gates.beauty", {}, "expected one of the keys finite_weights, "),
        ("name", "gas", "the folder's name 'electricity'"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, path: str, value: object, expected: str) -> None:
    change(folder, path, value)
    with pytest.raises(WorkloadError) as caught:
        load_workload(folder)
    assert str(caught.value).startswith("electricity/workload.yaml: ")
    assert path.split(".")[0] in caught.value.field
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "training.validaton_days",
            3,
            r"training\.validaton_days: expected one of the keys family, .*'validation_days'\?",
        ),
        ("training.parameters.epoch", 3, r"training\.parameters\.epoch: expected one of the keys epochs, .*'epochs'\?"),
        ("training.parameters.epochs", 0, r"training\.parameters\.epochs: expected greater than or equal to 1, got 0$"),
        (
            "training.split",
            {"by": "column", "column": "part", "tests": "x"},
            r"column\.tests: expected one of the keys by, column, train, validation, test, absent \(did you .*'test'",
        ),
        (
            "training.split",
            {"by": "column", "column": "part", "absent": {"by": "key_hash", "share": 0.1}},
            r"absent\.share: expected one of the keys by, validation_share, test_share \(did you .*got 'share'$",
        ),
        (
            "prediction.features",
            [{"name": "nswprice", "encode": "number"}],
            r"nswprice\.encode: expected one of the keys name, .*, parts \(did you mean 'encoder'\?\), got 'encode'$",
        ),
        (
            "training.family",
            "multimodel",
            r"yaml: training\.family: expected one of bag, .* \(did you mean 'multimodal'\?\), got 'multimodel'$",
        ),
        ("prediction.task", "binry", r"task: expected one of binary, .*\(did you mean 'binary'\?\), got 'binry'$"),
        (
            "prediction.label",
            ["a"],
            r"prediction\.label: expected the names of two columns or more, each once, got \['a'\]$",
        ),
    ],
)
def test_an_unknown_word_is_told_once_with_the_known_ones(folder: Path, path: str, value: object, told: str) -> None:
    change(folder, path, value)
    with pytest.raises(WorkloadError, match=told) as caught:
        load_workload(folder)
    said = str(caught.value)
    assert (said.count("expected "), said.count(", got ")) == (1, 1)


def test_a_place_where_yaml_cannot_be_read_has_its_line_and_column(folder: Path) -> None:
    (folder / "workload.yaml").write_text("name: electricity\ntraining:\n  split: {by: time\nowner: me\n")
    told = r"^electricity/workload\.yaml: line 4, column \d+: expected YAML, got .* while parsing a flow mapping from"
    with pytest.raises(WorkloadError, match=f"{told} line 3 on"):
        load_workload(folder)
    (folder / "workload.yaml").write_text("name: a: b\n")
    with pytest.raises(
        WorkloadError, match=r"line 1, column 8: expected YAML, got 'mapping values are not allowed [a-z ]+'$"
    ):
        load_workload(folder)


def test_a_batch_is_divided_among_the_gpus_of_an_instance(folder: Path) -> None:
    """A p4d has eight; the price list knows it."""
    change(folder, "training.instance", {"local": "ml.m5.large", "dev": "ml.m5.large", "prod": "ml.p4d.24xlarge"})
    assert load_workload(folder).training.instances == 1
    change(folder, "training.parameters", {"batch_size": 260})
    with pytest.raises(WorkloadError, match=r"a multiple of 8 in the stage prod, 1 of ml\.p4d\.24xlarge, got 260"):
        load_workload(folder)


@pytest.mark.parametrize(
    ("features", "field"),
    [
        (["period", {"name": "past", "history": ["nswdemand"], "hours": -1}], "prediction.features.past.hours"),
        (["period", {"name": "nswprice", "encode": "number"}], "prediction.features.nswprice.encode"),
        (["period", 5], "prediction.features.1"),
    ],
)
def test_a_wrong_feature_is_named_by_its_name(folder: Path, features: list[object], field: str) -> None:
    change(folder, "prediction.features", features)
    with pytest.raises(WorkloadError) as caught:
        load_workload(folder)
    assert caught.value.field == field


def test_a_missing_field_is_named(folder: Path) -> None:
    file = folder / "workload.yaml"
    document = yaml.safe_load(file.read_text())
    del document["gates"]["non_inferiority"]
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(WorkloadError, match=r"gates\.non_inferiority: expected Field required"):
        load_workload(folder)


@pytest.mark.parametrize("text", ["- : [", "just words"])
def test_what_is_no_declaration_is_refused(folder: Path, text: str) -> None:
    (folder / "workload.yaml").write_text(text)
    with pytest.raises(WorkloadError, match=r"electricity/workload\.yaml: "):
        load_workload(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="expected a file, got 'none'"):
        load_workload(tmp_path)


def test_a_feature_is_a_column_or_the_past_of_columns(folder: Path) -> None:
    past = {"name": "load", "history": ["demand", "price"], "hours": 24, "every_hours": 0.5}
    change(folder, "prediction.features", ["price", {"name": "street", "encoder": "category"}, past])
    prediction = load_workload(folder).prediction
    assert prediction.features == (
        Feature(name="price"),
        Feature(name="street", encoder="category"),
        Feature(name="load", history=("demand", "price"), hours=24, every_hours=0.5, event_time="timestamp"),
    )
    assert prediction.feature_columns == ("price", "street", "demand")


@pytest.mark.parametrize(
    ("hours", "key", "expected"),
    [(float("inf"), ["timestamp"], "finite number"), (24, ["period"], "expected timestamp in it for a history")],
)
def test_a_past_that_no_row_has_is_refused(folder: Path, hours: float, key: list[str], expected: str) -> None:
    change(folder, "prediction.features", [{"name": "before", "history": ["nswprice"], "hours": hours}])
    change(folder, "prediction.key", key)
    with pytest.raises(WorkloadError, match=expected):
        load_workload(folder)


def test_what_the_prediction_sets_is_no_key_of_a_feature(folder: Path) -> None:
    change(folder, "prediction.features", [{"name": "price", "event_time": "elsewhere"}])
    keys = "name, encoder, history, hours, every_hours, calendar, parts"
    with pytest.raises(WorkloadError, match=f"expected the keys {keys} only"):
        load_workload(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "policy"),
        ({"policy": {"automate": {"confidence": 0.8}}}, ""),
        ({"policy": {"held_out": 0.1}, "prediction.task": "regression"}, "rollout.assisted.within"),
    ],
)
def test_assisted_asks_people_who_can_agree(folder: Path, changes: dict[str, object], field: str) -> None:
    for path, value in ({"rollout.phases": ["assisted", "live"]} | changes).items():
        change(folder, path, value)
    if not field:
        assert load_workload(folder).rollout.phases == ("assisted", "live")
        return
    with pytest.raises(WorkloadError) as caught:
        load_workload(folder)
    assert caught.value.field.endswith(field)
