"""What every family of the catalogue must do; a new entry is tested unasked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from millrace import models
from millrace.errors import ArtefactError, WorkloadError
from millrace.features.signature import TensorSpec
from millrace.models.catalogue import FAMILIES
from millrace.models.export import exporter, with_weights
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression

ROWS, CONSTANT, MISSING = 257, 2, 4
"""Rows of the training, the column of `numbers` that never varies there, the one that may be missing."""
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=tuple(n == MISSING for n in range(7)))
CATEGORIES = TensorSpec(name="categories", dtype="int64", shape=(3,), cardinalities=(4, 100, 3))
IMAGE = TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16))
PAST = TensorSpec(name="past", dtype="float32", shape=(6, 2))
OWN = {"cnn": (IMAGE,), "gru": (PAST,)}
"""What a family needs beside the table's columns."""
OBJECTIVE = Multiclass(classes=("a", "b", "c")).objective

Tensors = dict[str, npt.NDArray[Any]]


def make_rows(seed: int = 0) -> Tensors:
    """Numbers of different scale, categories of all their values but the last ones."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal([3, 0.5, 0, 1e4, -2, 0, 0.4], [2, 0.3, 1, 500, 1e-3, 1, 0.1], (ROWS, 7))
    numbers[:, CONSTANT] = 0.003467
    numbers[::3, MISSING] = np.nan
    categories = np.stack([rng.integers(0, count - 1, ROWS) for count in CATEGORIES.cardinalities], axis=1)
    past = rng.normal(5, 3, (ROWS, *PAST.shape))  # type: ignore[arg-type]
    past[rng.random(past.shape) < 0.2] = np.nan
    return {
        "numbers": numbers.astype(np.float32),
        "categories": categories,
        "scan": rng.integers(0, 256, (ROWS, *IMAGE.shape), dtype=np.uint8),  # type: ignore[arg-type]
        "past": past.astype(np.float32),
    }


def signature_of(family: str, *shared: TensorSpec) -> tuple[TensorSpec, ...]:
    return (*(shared or (NUMBERS, CATEGORIES)), *OWN.get(family, ()))


def of_torch(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in tensors.items()}


def fitted(family: str) -> Predictor:
    """Untrained, fitted on the rows, at a temperature other than 1."""
    torch.manual_seed(1)
    predictor = build(FAMILIES[family](), signature_of(family), OBJECTIVE)
    predictor.fit(of_torch(make_rows()), torch.zeros(ROWS, dtype=torch.int64))
    predictor.temperature.fill_(1.7)
    return predictor.eval()


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def predictor(family: str) -> Predictor:
    return fitted(family)


@pytest.fixture(scope="module")
def exported(family: str) -> bytes:
    """The graph, whose weights are not yet those of a predictor that a test makes."""
    with exporter() as graph:
        graph.begin(FAMILIES[family](), signature_of(family), OBJECTIVE)
        return graph.finish({})


def run(graph: bytes, predictor: Predictor, tensors: Tensors) -> npt.NDArray[np.float32]:
    whole = with_weights(graph, predictor.state_dict())
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    [output] = session.run(["output"], {one.name: tensors[one.name] for one in session.get_inputs()})
    return output


def of(predictor: Predictor, tensors: Tensors) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        return predictor(**of_torch(tensors)).numpy()


def test_each_family_is_one_folder_and_one_line() -> None:
    folders = {path.parent.name for path in Path(models.__file__).parent.glob("*/network.py")}
    assert folders == set(FAMILIES)
    for name, parameters in FAMILIES.items():
        assert issubclass(parameters, Parameters)
        assert parameters.network == f"millrace.models.{name}.network"
        assert get_type_hints(import_module(parameters.network).build)["parameters"] is parameters


@pytest.mark.parametrize("count", [1, 2, ROWS])
def test_the_graph_answers_as_torch_does(exported: bytes, predictor: Predictor, count: int) -> None:
    rows = {name: value[:count] for name, value in make_rows(5).items()}
    found = run(exported, predictor, rows)
    assert (found.dtype, found.shape) == (np.float32, (count, 3))
    np.testing.assert_allclose(found, of(predictor, rows), rtol=0, atol=1e-5)


def test_the_graph_holds_every_weight_by_name_and_nothing_of_this_machine(
    exported: bytes, predictor: Predictor
) -> None:
    model = onnx.load_model_from_string(with_weights(exported, predictor.state_dict()))
    held = {one.name.removeprefix("predictor.") for one in model.graph.initializer}
    assert held >= set(predictor.state_dict()) - {"location", "scale"}  # those are a regression's
    assert str(Path.cwd()).encode() not in exported
    assert b"site-packages" not in exported


def test_the_temperature_is_part_of_the_answer(exported: bytes, predictor: Predictor) -> None:
    warm = run(exported, predictor, make_rows())
    predictor.temperature.fill_(1.0)
    assert np.abs(run(exported, predictor, make_rows()) - warm).max() > 1e-3


def test_a_column_that_never_varied_in_training_has_no_say(exported: bytes, predictor: Predictor) -> None:
    before, changed = run(exported, predictor, make_rows()), make_rows()
    changed["numbers"][:, CONSTANT] = 1e6
    np.testing.assert_array_equal(run(exported, predictor, changed), before)
    changed["numbers"][:, 0] += 1
    assert np.abs(run(exported, predictor, changed) - before).max() > 1e-4  # others have


@pytest.mark.parametrize("place", range(3))
def test_a_category_that_never_occurred_in_training_counts_as_missing(predictor: Predictor, place: int) -> None:
    new, missing, other = make_rows(), make_rows(), make_rows()
    new["categories"][:, place] = CATEGORIES.cardinalities[place] - 1  # type: ignore[operator]
    missing["categories"][:, place] = 0
    other["categories"][:, place] = 1
    np.testing.assert_array_equal(of(predictor, new), of(predictor, missing))
    assert np.abs(of(predictor, other) - of(predictor, missing)).max() > 1e-4


def test_a_missing_number_is_not_the_same_as_the_mean(predictor: Predictor) -> None:
    rows = make_rows()
    seen = of(predictor, rows)
    assert np.isfinite(seen).all()
    rows["numbers"][:, MISSING] = np.nanmean(rows["numbers"][:, MISSING])
    assert np.abs(of(predictor, rows) - seen)[::3].max() > 1e-4


def test_the_same_seed_gives_the_same_network(family: str, predictor: Predictor) -> None:
    np.testing.assert_array_equal(of(fitted(family), make_rows()), of(predictor, make_rows()))


@pytest.mark.parametrize("signature", [(NUMBERS,), (CATEGORIES,)], ids=["numbers", "categories"])
@pytest.mark.parametrize("task", [Binary(), Regression()], ids=["binary", "regression"])
def test_takes_numbers_or_categories_alone(
    family: str, signature: tuple[TensorSpec, ...], task: Binary | Regression
) -> None:
    signature = signature_of(family, *signature)
    rows = {spec.name: make_rows()[spec.name] for spec in signature}
    FAMILIES[family]().accepts(signature, task)
    predictor = build(FAMILIES[family](), signature, task.objective)
    predictor.fit(of_torch(rows), torch.linspace(-5, 20, ROWS))
    assert of(predictor.eval(), rows).shape == (ROWS, 1)


def test_nan_stays_nan_where_nothing_may_be_missing(family: str) -> None:
    required = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=(False,) * 7)
    predictor = build(FAMILIES[family](), signature_of(family, required), Binary().objective)
    rows = make_rows()
    rows["numbers"] = np.nan_to_num(rows["numbers"])
    predictor.fit(of_torch(rows), torch.zeros(ROWS))
    rows["numbers"][0, 1] = np.nan
    assert np.isnan(of(predictor.eval(), rows)[0, 0])


def test_a_regression_is_trained_on_standardised_targets_and_answers_in_their_unit(family: str) -> None:
    predictor = build(FAMILIES[family](), signature_of(family, NUMBERS), Regression().objective)
    target_N = torch.linspace(1000, 3000, ROWS)
    predictor.fit(of_torch(make_rows()), target_N)
    assert float(predictor.location) == pytest.approx(2000)
    assert float(predictor.scale) == pytest.approx(float(target_N.std(correction=0)))
    raw_NW = ((target_N - 2000) / predictor.scale)[:, None]
    assert float(predictor.loss(raw_NW, target_N)) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(predictor.answer(raw_NW)[:, 0].numpy(), target_N.numpy(), rtol=1e-6)


def test_labels_that_never_vary_are_scaled_by_one(family: str) -> None:
    predictor = build(FAMILIES[family](), signature_of(family, NUMBERS), Regression().objective)
    predictor.fit(of_torch(make_rows()), torch.full((ROWS,), 7.0))
    assert (float(predictor.location), float(predictor.scale)) == (7.0, 1.0)


def test_an_export_that_fails_says_why() -> None:
    broken = TensorSpec(name="image", dtype="uint8", shape=(1, 8, 8))
    with exporter() as graph:
        graph.begin(FAMILIES["feedforward"](), (broken,), OBJECTIVE)
        with pytest.raises(ArtefactError, match=r"model\.onnx: the export failed: (.|\n)*'categories'"):
            graph.finish({})


def test_a_row_alone_has_the_answer_that_it_has_among_others(exported: bytes, predictor: Predictor) -> None:
    rows = make_rows(3)
    together = run(exported, predictor, rows)
    alone = [run(exported, predictor, {name: value[at : at + 1] for name, value in rows.items()}) for at in range(20)]
    np.testing.assert_array_equal(np.concatenate(alone), together[:20])


def test_a_family_of_its_own_tensor_learns_from_it(family: str) -> None:
    for own in OWN.get(family, ()):
        parameters = FAMILIES[family](dropout=0.0)
        predictor = build(parameters, (own,), Regression().objective)
        rows = make_rows()
        signal = np.linspace(0, 1, ROWS, dtype=np.float32)
        if own is IMAGE:
            rows["scan"][:, 0, :8] = (rows["scan"][:, 0, :8] * signal[:, None, None]).astype(np.uint8)
        else:
            rows["past"][:, 2] = 20 * signal[:, None]
        predictor.fit(of_torch(rows), torch.from_numpy(signal))
        optimiser = torch.optim.AdamW(predictor.parameters(), lr=5e-3)
        losses = []
        for _ in range(60):
            optimiser.zero_grad()
            loss = predictor.loss(predictor.network(**of_torch(rows)), torch.from_numpy(signal))
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("family", "signature", "expected"),
    [
        ("feedforward", (IMAGE,), "numbers and categories for the family feedforward, got 'scan"),
        ("cnn", (NUMBERS,), "one image, and numbers and categories beside it, for the family cnn"),
        ("cnn", (IMAGE, PAST), "one image"),
        (
            "cnn",
            (TensorSpec(name="scan", dtype="uint8", shape=(1, 15, 40)),),
            "sides of 16 pixels or more for 3 blocks",
        ),
        ("gru", (NUMBERS, CATEGORIES), "one history, and numbers and categories beside it, for the family gru"),
        ("gru", (PAST, IMAGE), "one history"),
    ],
)
def test_inputs_that_a_family_cannot_take_stop_at_synth(
    family: str, signature: tuple[TensorSpec, ...], expected: str
) -> None:
    with pytest.raises(WorkloadError, match=expected):
        FAMILIES[family]().accepts(signature, Binary())


def test_a_state_comes_back_as_a_checkpoint_keeps_it(family: str, predictor: Predictor) -> None:
    """A plain dictionary, without what torch notes beside it."""
    again = build(FAMILIES[family](), signature_of(family), OBJECTIVE)
    again.load_state_dict({name: value.clone() for name, value in predictor.state_dict().items()})
    np.testing.assert_array_equal(of(again.eval(), make_rows()), of(predictor, make_rows()))


def test_parameters_are_plain_json(family: str) -> None:
    parameters = FAMILIES[family]()
    assert FAMILIES[family](**json.loads(parameters.model_dump_json())) == parameters
