"""The family that is proposed takes the inputs that it is proposed for. Recipes without a stop are the workloads'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.quality import xray
from millrace.console.new.families import Family, suited
from millrace.features.signature import Signature, TensorSpec
from millrace.models.catalogue import FAMILIES
from millrace.models.parameters import Parameters
from millrace.tasks.binary import Binary
from tests.shipped import WORKLOADS

NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(3,), optional=(False,) * 3)
WORDS = TensorSpec(name="note", dtype="int64", shape=(9,), cardinalities=(40,))
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, 64, 64))
PAST = TensorSpec(name="past", dtype="float32", shape=(24, 2))


def read(family: str, values: Mapping[str, Any]) -> Parameters:
    """With the family's defaults."""
    return FAMILIES[family](**values)


def of(found: Family) -> Parameters:
    return read(found.name, found.values)


@pytest.mark.parametrize(
    ("workload", "inputs"),
    [
        ("intents", {"texts": 1}),
        ("reviews", {"texts": 2, "columns": 4}),
        ("xray", {"image_side": 28}),
    ],
)
def test_data_like_those_of_a_workload_get_its_recipe(workload: str, inputs: dict[str, int]) -> None:
    [sample] = (WORKLOADS / workload / "sample").glob("*.parquet")
    declared = yaml.safe_load((WORKLOADS / workload / "workload.yaml").read_text())
    training = declared["training"]
    found = suited(rows=pq.read_metadata(sample).num_rows, has_even_classes=True, **inputs)
    assert found.name == training["family"]
    assert of(found) == read(found.name, training["parameters"])
    assert found.max_mb == pytest.approx(declared["gates"]["size"]["max_mb"], rel=0.1)


def test_thousands_of_small_images_get_the_recipe_that_reaches_the_bar() -> None:
    found = suited(rows=5_856, image_side=28, has_even_classes=True)
    assert of(found) == read("cnn", {**xray.RECIPES["full"], "seed": 7})


def test_a_table_in_time_gets_the_network_of_electricity() -> None:
    """Its declared epochs are fewer: they suit its rows."""
    training = yaml.safe_load((WORKLOADS / "electricity" / "workload.yaml").read_text())["training"]
    [sample] = (WORKLOADS / "electricity" / "sample").glob("*.parquet")
    found = of(suited(rows=pq.read_metadata(sample).num_rows, columns=7, is_ordered=True))
    declared = read(training["family"], training["parameters"])
    assert found == declared.model_copy(update={"epochs": found.epochs})
    assert found.epochs >= declared.epochs


STOPPED: list[dict[str, Any]] = [{"columns": 13}, {"columns": 7, "is_ordered": True}, {"has_history": True}]


@pytest.mark.parametrize("inputs", STOPPED)
@pytest.mark.parametrize("rows", [200, 2_930, 60_000])
def test_the_validation_rows_end_a_training_of_a_table_or_a_history(rows: int, inputs: dict[str, Any]) -> None:
    found = of(suited(rows=rows, **inputs))
    assert found.schedule == "constant", "a rate that falls along all epochs is still high where patience ends them"
    steps = 0.65 * rows / found.batch_size
    assert (found.patience + 1) * steps >= 300
    assert found.epochs >= 2 * found.patience


@pytest.mark.parametrize("rows", [200, 5_000, 60_000, 1_000_000])
@pytest.mark.parametrize("columns", [1, 13, 200, 5_000])
def test_a_table_is_learnt_in_bounded_time(rows: int, columns: int) -> None:
    """Passes over its rows, and the inputs of the first layer."""
    found = suited(rows=rows, columns=columns).values
    assert found["epochs"] * rows <= max(1_500_000, 5 * rows)
    assert found["pieces"] * columns <= max(512, 4 * columns)


@pytest.mark.parametrize("rows", [500, 8_000, 50_000])
@pytest.mark.parametrize(
    ("signature", "family"),
    [
        ((NUMBERS,), "feedforward"),
        ((WORDS,), "bag"),
        ((SCAN,), "cnn"),
        ((PAST,), "gru"),
        ((NUMBERS, PAST), "gru"),
        ((NUMBERS, WORDS), "multimodal"),
        ((WORDS, PAST), "multimodal"),
        ((NUMBERS, WORDS, SCAN, PAST), "multimodal"),
    ],
)
def test_a_family_is_proposed_for_inputs_that_it_takes(signature: Signature, family: str, rows: int) -> None:
    found = proposed(signature, rows)
    assert found.name == family
    FAMILIES[family](**found.values).accepts(signature, Binary())


def proposed(signature: Signature, rows: int) -> Family:
    return suited(
        rows=rows,
        image_side=next((min(spec.shape[1:]) for spec in signature if spec.dtype == "uint8"), 0),
        has_history=PAST in signature,
        texts=signature.count(WORDS),
        columns=signature.count(NUMBERS),
    )
