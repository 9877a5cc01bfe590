"""What every family of the catalogue must do; a new entry is tested unasked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from millrace import models
from millrace.artefact.artefact import Artefact, Digests
from millrace.artefact.inference import Model
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import ArtefactError, WorkloadError
from millrace.features.signature import TensorSpec
from millrace.jobs.training import loss
from millrace.models.catalogue import FAMILIES
from millrace.models.export import export, exporter, with_weights
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from tests import builders

ROWS, CONSTANT, MISSING = 257, 2, 4
"""Rows of the training, the column of `numbers` that never varies there, the one that may be missing."""
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=tuple(n == MISSING for n in range(7)))
CATEGORIES = TensorSpec(name="categories", dtype="int64", shape=(3,), cardinalities=(4, 100, 3))
SHARED = ((NUMBERS, CATEGORIES), (NUMBERS,), (CATEGORIES,), ())
"""What a family may take of the table's columns, beside the tensors of its example."""
IMAGE = TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16))
PAST = TensorSpec(name="past", dtype="float32", shape=(6, 2))
WORDS = TensorSpec(name="note", dtype="int64", shape=(9,), cardinalities=(40,))
EXPORTED_LIKE = {"lstm": "gru", "rnn": "gru", "multiscale": "cnn", "bag": "feedforward", "multimodal": "transformer"}
"""Families whose graphs are tested with the slow tests; those of a family of the same layers are with the others. An
entry that is not named here is."""
MULTICLASS = Multiclass(classes=("a", "b", "c"))
OBJECTIVE = MULTICLASS.objective

Tensors = dict[str, npt.NDArray[Any]]


def make_rows(seed: int = 0) -> Tensors:
    """Numbers of different scale, categories of all their values but the last ones."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal([3, 0.5, 0, 1e4, -2, 0, 0.4], [2, 0.3, 1, 500, 1e-3, 1, 0.1], (ROWS, 7))
    numbers[:, CONSTANT] = 0.003467
    numbers[::3, MISSING] = np.nan
    categories = np.stack([rng.integers(0, count - 1, ROWS) for count in CATEGORIES.cardinalities], axis=1)
    own = {spec.name: spec for parameters in FAMILIES.values() for spec in parameters.example}
    return {"numbers": numbers.astype(np.float32), "categories": categories} | {
        name: fill(spec, rng) for name, spec in own.items()
    }


def fill(spec: TensorSpec, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Noise for a tensor of one feature; a fifth of its floats is missing."""
    shape = (ROWS, *(size or 1 for size in spec.shape))
    if spec.dtype == "float32":
        return np.where(rng.random(shape) < 0.2, np.nan, rng.normal(5, 3, shape)).astype(np.float32)
    most = 256 if spec.dtype == "uint8" else min((count or 2 for count in spec.cardinalities), default=2)
    return rng.integers(0, most, shape).astype(spec.dtype)


def accepted(family: str, *shared: tuple[TensorSpec, ...], task: Task = MULTICLASS) -> list[tuple[TensorSpec, ...]]:
    """Those of the signatures, with the family's own tensors, that it accepts."""
    found = []
    for specs in shared:
        signature = (*specs, *FAMILIES[family].example)
        with suppress(WorkloadError):
            FAMILIES[family]().accepts(signature, task)
            found.append(signature)
    return found


def signature_of(family: str) -> tuple[TensorSpec, ...]:
    """The tensors of the tests: the family's own, and of numbers and categories those that it accepts beside them."""
    return accepted(family, *SHARED)[0]


def takes(family: str, spec: TensorSpec) -> None:
    """Skip a test of `spec` where the family does not accept it."""
    if spec not in signature_of(family):
        pytest.skip(f"{family} does not take {spec.name}")


def of_torch(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in tensors.items()}


def fitted(family: str) -> Predictor:
    """Untrained, fitted on the rows, at a temperature other than 1."""
    torch.manual_seed(1)
    predictor = build(FAMILIES[family](), signature_of(family), OBJECTIVE)
    predictor.fit(of_torch(make_rows()), torch.zeros(ROWS, dtype=torch.int64))
    predictor.temperature.fill_(1.7)
    return predictor.eval()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a `family` is of each; an export is the dear part of a test."""
    if "family" in metafunc.fixturenames:
        exports = "exported" in metafunc.fixturenames
        names = [
            pytest.param(
                one,
                marks=[pytest.mark.night("by day a family of the same layers is exported")]
                * (exports and one in EXPORTED_LIKE),
            )
            for one in sorted(FAMILIES)
        ]
        metafunc.parametrize("family", names, scope="module")


@pytest.fixture
def predictor(family: str) -> Predictor:
    return fitted(family)


@pytest.fixture(scope="module")
def exported(family: str) -> bytes:
    """The graph, whose weights are not yet those of a predictor that a test makes."""
    return export(build(FAMILIES[family](), signature_of(family), OBJECTIVE), signature_of(family))


def run(graph: bytes, predictor: Predictor | None, tensors: Tensors) -> npt.NDArray[np.float32]:
    whole = with_weights(graph, predictor.state_dict()) if predictor else graph
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    [output] = session.run(["output"], {one.name: tensors[one.name] for one in session.get_inputs()})
    return output


def of(predictor: Predictor, tensors: Tensors) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        return predictor(**of_torch(tensors)).numpy()


def test_each_folder_with_a_network_has_a_line_for_its_families() -> None:
    folders = {path.parent.name for path in Path(models.__file__).parent.glob("*/network.py")}
    assert folders == {parameters.network.split(".")[-2] for parameters in FAMILIES.values()}
    for parameters in FAMILIES.values():
        assert issubclass(parameters, Parameters)
        made_of = inspect.signature(resolve_name(parameters.network), eval_str=True).parameters
        assert issubclass(parameters, made_of["parameters"].annotation)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_accepts_its_example(name: str) -> None:
    assert accepted(name, *SHARED), (
        f"{name} refuses its `example` alone, with numbers, with categories and with both: {FAMILIES[name].example}"
    )
    others = [spec for family in FAMILIES.values() for spec in family.example if spec not in FAMILIES[name].example]
    shared = {spec.name for spec in others} & {spec.name for spec in FAMILIES[name].example}
    assert not shared, f"tensors of one name in the examples of two families, but of different form: {shared}"


@pytest.mark.parametrize("count", [1, ROWS])
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
    assert held >= set(predictor.state_dict()) - {f"label.{name}" for name, _ in predictor.label.named_buffers()} - {
        "factor"
    }  # those are of numbers
    assert str(Path.cwd()).encode() not in exported
    assert b"site-packages" not in exported


def test_a_column_that_never_varied_in_training_has_no_say(family: str, exported: bytes, predictor: Predictor) -> None:
    takes(family, NUMBERS)
    before, changed = run(exported, predictor, make_rows()), make_rows()
    changed["numbers"][:, CONSTANT] = 1e6
    np.testing.assert_array_equal(run(exported, predictor, changed), before)
    changed["numbers"][:, 0] += 1
    assert np.abs(run(exported, predictor, changed) - before).max() > 1e-4  # others have


@pytest.mark.parametrize("place", range(3))
def test_a_category_that_never_occurred_in_training_counts_as_missing(
    family: str, predictor: Predictor, place: int
) -> None:
    takes(family, CATEGORIES)
    new, missing, other = make_rows(), make_rows(), make_rows()
    new["categories"][:, place] = CATEGORIES.cardinalities[place] - 1  # type: ignore[operator]
    missing["categories"][:, place] = 0
    other["categories"][:, place] = 1
    np.testing.assert_array_equal(of(predictor, new), of(predictor, missing))
    assert np.abs(of(predictor, other) - of(predictor, missing)).max() > 1e-4


def test_a_missing_number_is_not_the_same_as_the_mean(family: str, predictor: Predictor) -> None:
    takes(family, NUMBERS)
    rows = make_rows()
    seen = of(predictor, rows)
    assert np.isfinite(seen).all()
    rows["numbers"][:, MISSING] = np.nanmean(rows["numbers"][:, MISSING])
    assert np.abs(of(predictor, rows) - seen)[::3].max() > 1e-4


@pytest.mark.parametrize("far", [3.4028235e38, -3.4028235e38])
def test_a_number_far_beyond_those_of_the_training_has_a_finite_answer(
    family: str, exported: bytes, predictor: Predictor, far: float
) -> None:
    """In any column, one that never varied or that may be missing among them, and in any step of a history."""
    rows = make_rows()
    for name, value in rows.items():
        if value.dtype == np.float32:
            rows[name] = np.where(np.isnan(value), value, np.float32(far))
    assert np.isfinite(run(exported, predictor, rows)).all()
    assert np.isfinite(of(predictor, rows)).all()


FORECAST = Forecast(quantiles=(0.1, 0.9), horizons_hours=(1.0, 2.0))
MULTILABEL = Multilabel(labels=("wet", "hot", "dry"), thresholds=(0.5,) * 3)


@pytest.mark.parametrize("task", [Binary(), Regression()], ids=["binary", "regression"])
def test_what_a_family_accepts_it_takes(family: str, task: Binary | Regression) -> None:
    signatures = [signature for signature in accepted(family, *SHARED, task=task) if signature]
    assert signatures
    for signature in signatures:
        rows = {spec.name: make_rows()[spec.name] for spec in signature}
        predictor = build(FAMILIES[family](), signature, task.objective)
        predictor.fit(of_torch(rows), torch.linspace(-5, 20, ROWS))
        assert of(predictor.eval(), rows).shape == (ROWS, 1)


@pytest.mark.night("by day a family learns numbers and classes")
@pytest.mark.parametrize("task", [FORECAST, MULTILABEL], ids=["forecast", "multilabel"])
def test_a_family_learns_answers_with_parts(family: str, task: Forecast | Multilabel) -> None:
    target_NP = torch.stack([torch.linspace(-5, 20, ROWS) + part for part in range(len(task.part_names))], dim=1)
    target_NP = (target_NP > 0).float() if task.error_is_share else target_NP
    predictor, rows = build(FAMILIES[family](), signature_of(family), task.objective), make_rows()
    tensors = {spec.name: torch.from_numpy(rows[spec.name]) for spec in signature_of(family)}
    predictor.fit(tensors, target_NP)
    assert predictor.eval()(**tensors).shape == (ROWS, task.objective.width)
    raw = predictor.train().network(**tensors)
    assert math.isfinite(
        float(loss.declare(FAMILIES[family](), predictor, target_NP).training(raw, target_NP).detach())
    )


def test_nan_stays_nan_where_nothing_may_be_missing(family: str) -> None:
    required = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=(False,) * 7)
    takes(family, NUMBERS)
    signature = tuple(required if spec is NUMBERS else spec for spec in signature_of(family))
    predictor = build(FAMILIES[family](), signature, Binary().objective)
    rows = make_rows()
    rows["numbers"] = np.nan_to_num(rows["numbers"])
    predictor.fit(of_torch(rows), torch.zeros(ROWS))
    rows["numbers"][0, 1] = np.nan
    assert np.isnan(of(predictor.eval(), rows)[0, 0])


def test_an_export_that_fails_says_why() -> None:
    broken = TensorSpec(name="image", dtype="uint8", shape=(1, 8, 8))
    with exporter() as graph:
        graph.begin(FAMILIES["feedforward"](), (broken,), OBJECTIVE)
        with pytest.raises(ArtefactError, match=r"model\.onnx: the export failed: (.|\n)*'categories'"):
            graph.finish({})


def model_of(family: str, graph: bytes, rows_per_pass: RowsPerPass) -> Model:
    """As serving, batch and evaluation run it."""
    encoders = tuple(Stub(spec=spec) for spec in signature_of(family))
    digests = Digests(**dict.fromkeys(("data", "contract", "config", "code", "weights", "onnx"), ""))
    known = {"family": family, "features": encoders, "task": MULTICLASS, "digests": digests, "torch": ""}
    description = builders.description(**known, rows_per_pass=rows_per_pass)
    return Model(Artefact(description=description, weights=b"", onnx=graph, history=b""))


@dataclass(frozen=True, kw_only=True)
class Stub:
    """Of an encoder, what a model asks: its tensor."""

    spec: TensorSpec


def in_company(model: Model, rows: Tensors, size: int, first: int = 0) -> npt.NDArray[np.float32]:
    """The answers of all rows from `first` on, `size` at a time."""
    starts = range(first, ROWS, size)
    return np.concatenate(
        [model.outputs({name: value[at : at + size] for name, value in rows.items()}) for at in starts]
    )


def test_an_answer_is_the_same_bits_in_whatever_company_its_row_comes(
    family: str, exported: bytes, predictor: Predictor
) -> None:
    graph = with_weights(exported, predictor.state_dict())
    model, rows = model_of(family, graph, FAMILIES[family].rows_per_pass), make_rows(3)
    rows = {spec.name: rows[spec.name] for spec in signature_of(family)}
    alone = in_company(model, rows, 1)
    for size in (2, 3, 7, 8, 16, 31, 64, ROWS):
        np.testing.assert_array_equal(in_company(model, rows, size), alone, err_msg=f"{size} rows at a time")
    np.testing.assert_array_equal(in_company(model, rows, 64, first=5), alone[5:], err_msg="in other places")


def test_a_family_learns_from_each_tensor_of_its_example(family: str) -> None:
    """The first half of each row's cells follows the target; nothing else does."""
    signal = np.linspace(0, 1, ROWS, dtype=np.float32)
    options = {"dropout": 0.0} if "dropout" in FAMILIES[family].model_fields else {}
    signature = (accepted(family, ()) or [signature_of(family)])[0]
    for own in FAMILIES[family].example:
        rows = {spec.name: make_rows()[spec.name] for spec in signature}
        flat = rows[own.name].reshape(ROWS, -1)
        half = flat[:, : max(1, flat.shape[1] // 2)]
        if own.dtype == "float32":
            half[:] = 20 * signal[:, None]
        else:
            half[:] = (half.max() * signal[:, None]).astype(half.dtype)
        predictor = build(FAMILIES[family](**options), signature, Regression().objective)
        predictor.fit(of_torch(rows), torch.from_numpy(signal))
        optimiser = torch.optim.AdamW(predictor.parameters(), lr=5e-3)
        losses = []
        for _ in range(60):
            optimiser.zero_grad()
            loss = predictor.loss(predictor.network(**of_torch(rows)), torch.from_numpy(signal))
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
            if losses[-1] < 0.3 * losses[0]:
                break
        assert losses[-1] < 0.3 * losses[0]


REFUSED: Sequence[tuple[str, tuple[TensorSpec, ...], str]] = (
    ("feedforward", (IMAGE,), "numbers and categories, for the family feedforward, got 'scan"),
    ("cnn", (NUMBERS,), "one image or one history, and numbers and categories beside it, for the family cnn"),
    ("cnn", (IMAGE, PAST), "one image or one history"),
    ("cnn", (WORDS,), "one image or one history"),
    (
        "cnn",
        (TensorSpec(name="scan", dtype="uint8", shape=(1, 15, 40)),),
        "sides of 16 pixels or more for 3 blocks",
    ),
    ("gru", (NUMBERS, CATEGORIES), "one history, and numbers and categories beside it, for the family gru"),
    ("gru", (PAST, IMAGE), "one history"),
    ("rnn", (NUMBERS,), "one history, and numbers and categories beside it, for the family rnn"),
    ("lstm", (NUMBERS,), "one history, and numbers and categories beside it, for the family lstm"),
    ("multiscale", (IMAGE,), "one history, and numbers and categories beside it, for the family multiscale"),
    ("bag", (NUMBERS,), "one text or more, and numbers and categories beside them, for the family bag"),
    ("bag", (WORDS, PAST), "one text or more"),
    ("transformer", (NUMBERS,), "one text or one history, and numbers and categories beside it"),
    ("transformer", (WORDS, PAST), "one text or one history"),
    ("multimodal", (NUMBERS, CATEGORIES), "a text, an image or a history, and another one or columns beside it"),
    ("multimodal", (WORDS,), "a text, an image or a history, and another one or columns beside it"),
    (
        "multimodal",
        (WORDS, TensorSpec(name="scan", dtype="uint8", shape=(3, 7, 40))),
        "scan: expected sides of 8 pixels or more for 2 blocks",
    ),
)
"""A family, inputs that it cannot take, and what it says of them."""


def test_every_family_refuses_some_inputs() -> None:
    assert {name for name, *_ in REFUSED} == set(FAMILIES), "add inputs that it cannot take to REFUSED"


@pytest.mark.parametrize(("name", "signature", "expected"), REFUSED)
def test_inputs_that_a_family_cannot_take_stop_at_synth(
    name: str, signature: tuple[TensorSpec, ...], expected: str
) -> None:
    with pytest.raises(WorkloadError, match=expected):
        FAMILIES[name]().accepts(signature, Binary())
