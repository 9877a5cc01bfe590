"""A wrong workload file stops with file, field, what was expected and what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.errors import WorkloadError
from millrace.workload.declaration import Feature
from millrace.workload.load import load_workload
from millrace.workload.prices import PRICES, REGION_FACTOR, Usage, projected_usd
from millrace.workload.training_cost import usages
from tests.millrace.workload.declared import GONE, check, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workload, to be broken."""
    return write(tmp_path, "electricity", {})


PAST = {"name": "past", "history": ["nswdemand"], "hours": 24}
HASH = {"by": "key_hash", "share": 0.1}
REFUSED: list[tuple[str, object, str]] = [
    (
        "training.family",
        "multimodel",
        r"family: expected one of bag, .* \(did you mean 'multimodal'\?\), got 'multimodel'$",
    ),
    ("training.parameters", {"epochs": 0}, r"parameters\.epochs: expected greater than or equal to 1, got 0$"),
    ("training.parameters.epoch", 3, r"parameters\.epoch: expected one of the keys epochs, .*'epochs'\?"),
    ("training.instances", 3, "expected a multiple of 3 in the stage "),
    (
        "training.split",
        {"by": "column", "column": "part", "tests": "x"},
        r"column\.tests: expected one of the keys by, column, train, validation, test, absent \(did you .*'test'",
    ),
    (
        "training.split",
        {"by": "column", "column": "part", "absent": HASH},
        r"absent\.share: expected one of the keys by, validation_share, test_share \(did you .*got 'share'$",
    ),
    ("prediction.task", "binry", r"task: expected one of binary, .*\(did you mean 'binary'\?\), got 'binry'$"),
    ("prediction.label", ["a"], r"label: expected the names of two columns or more, each once, got \['a'\]$"),
    ("prediction.features", [{"name": "load", "history": ["demand"]}], "history and hours together"),
    ("prediction.features", ["period", PAST | {"hours": -1}], r"prediction\.features\.past\.hours: "),
    ("prediction.features", [PAST | {"hours": float("inf")}], "finite number"),
    ("prediction.features", ["period", 5], r"prediction\.features\.1: "),
    # What the prediction sets.
    (
        "prediction.features",
        [{"name": "price", "event_time": "elsewhere"}],
        "expected the keys name, encoder, history, hours, every_hours, calendar, parts only",
    ),
    ("gates.beauty", {}, "expected one of the keys finite_weights, "),
    ("gates.non_inferiority", GONE, r"gates\.non_inferiority: expected Field required"),
    ("rollout.phases", ["live", "canary"], "ends with 'live'"),
    ("rollout.phases", ["canary", "canary", "live"], "at most once"),
    ("rollout.phases", ["canary", "shadow", "live"], "in this order"),
    ("rollout.phases", ["assist", "live"], "got 'assist'"),
    ("rollout.phases", ["assisted", "live"], "policy: expected a policy beside the phase assisted"),
    ("retraining.without_labels", "floor", "expected keep, or floor beside policy.floor"),
    ("monitors.figures", {}, "expected a figure, since retraining.alarms"),
    ("rollout.min_instances", 9, "expected max_instances at most, which is"),
    ("duties", {"boss": "ann"}, r"duties\.boss.*: expected 'data', 'model', .*, got 'boss'$"),
    ("name", "gas", "the folder's name 'electricity'"),
]


@pytest.mark.parametrize(("path", "value", "told"), REFUSED)
def test_a_wrong_field_is_named_once_with_the_known_ones(path: str, value: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=rf"^electricity/workload\.yaml: .*{told}") as caught:
        load_workload(write(tmp_path, "electricity", {path: value}))
    assert path.split(".")[0] in caught.value.field or "policy" in caught.value.field
    assert (str(caught.value).count("expected "), str(caught.value).count(", got ")) == (1, 1)


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


def test_a_batch_is_divided_among_the_gpus_of_an_instance(tmp_path: Path) -> None:
    """A p4d has eight; the price list knows it."""
    changes = {"training.instance": {"local": "ml.m5.large", "dev": "ml.m5.large", "prod": "ml.p4d.24xlarge"}}
    assert load_workload(write(tmp_path / "256", "electricity", changes)).training.instances == 1
    changes |= {"training.parameters": {"batch_size": 260}}
    with pytest.raises(WorkloadError, match=r"a multiple of 8 in the stage prod, 1 of ml\.p4d\.24xlarge, got 260"):
        load_workload(write(tmp_path / "260", "electricity", changes))


@pytest.mark.parametrize("text", ["- : [", "just words"])
def test_what_is_no_declaration_is_refused(folder: Path, text: str) -> None:
    (folder / "workload.yaml").write_text(text)
    with pytest.raises(WorkloadError, match=r"electricity/workload\.yaml: "):
        load_workload(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="expected a file, got 'none'"):
        load_workload(tmp_path)


def test_a_feature_is_a_column_or_the_past_of_columns(tmp_path: Path) -> None:
    past = {"name": "load", "history": ["demand", "price"], "hours": 24, "every_hours": 0.5}
    features = ["price", {"name": "street", "encoder": "category"}, past]
    prediction = load_workload(write(tmp_path, "electricity", {"prediction.features": features})).prediction
    assert prediction.features == (
        Feature(name="price"),
        Feature(name="street", encoder="category"),
        Feature(name="load", history=("demand", "price"), hours=24, every_hours=0.5, event_time="timestamp"),
    )
    assert prediction.feature_columns == ("price", "street", "demand")


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"policy": {"automate": {"confidence": 0.8}}}, None),
        ({"policy": {"held_out": 0.1}, "prediction.task": "regression"}, ("rollout.assisted.within", 0)),
    ],
)
def test_assisted_asks_people_who_can_agree(changes: Any, refused: Any, tmp_path: Path) -> None:
    check(tmp_path, "electricity", {"rollout.phases": ["assisted", "live"], **changes}, refused)


WORKLOAD = load_workload(Path("workloads/electricity"))


def test_a_projection_is_instances_times_price_times_hours():
    usage = [Usage(instance="ml.m5.xlarge", count=2, minutes=30), Usage(instance="ml.g5.xlarge", count=1, minutes=60)]
    assert projected_usd(usage) == pytest.approx((0.23 + 1.408) * REGION_FACTOR)


def test_every_price_says_where_and_when_it_was_read():
    assert all(price.source and price.as_of >= "2025-01-01" and price.usd_per_hour > 0 for price in PRICES.values())


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_shipped_workload_fits_its_budget_several_times(stage):
    assert 0 < projected_usd(usages(WORKLOAD, stage)) < WORKLOAD.budget.monthly_usd / 4


def test_every_instance_of_a_training_is_paid() -> None:
    alone, three = (
        WORKLOAD.model_copy(update={"training": WORKLOAD.training.model_copy(update={"instances": count})})
        for count in (1, 3)
    )
    [training, evaluation], [trainings, same] = usages(alone, "prod"), usages(three, "prod")
    assert (training.count, trainings.count) == (1, 3)
    assert same == evaluation
