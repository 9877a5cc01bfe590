"""Boosted trees beside a network: as scikit-learn's own, as ONNX Runtime's, and whatever the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from millrace.errors import WorkloadError
from millrace.features.signature import TensorSpec
from millrace.models.export import export, with_weights
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.predictor import Predictor, build
from millrace.models.trees import MOST_TREES
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task

ROWS, NUMBERS, PLACES = 900, 5, 4
SIGNATURE = (
    TensorSpec(name="numbers", dtype="float32", shape=(NUMBERS,), optional=(True,) * NUMBERS),
    TensorSpec(name="categories", dtype="int64", shape=(2,), cardinalities=(PLACES, PLACES)),
    TensorSpec(name="past", dtype="float32", shape=(3, 2)),
)
FORECAST = Forecast(quantiles=(0.1, 0.9), horizons_hours=(1.0, 24.0))
TASKS = (Regression(), Binary(), Multiclass(classes=("a", "b", "c", "d")), FORECAST)
Tensors = dict[str, torch.Tensor]


def rows(seed: int, count: int = ROWS) -> tuple[Tensors, npt.NDArray[np.float64]]:
    """The tensors of rows, with a fifth of the cells missing and a column that never is known, and what they say."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(count, NUMBERS)).astype(np.float32)
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    numbers[:, 4] = np.nan
    categories = rng.integers(0, PLACES, (count, 2))
    past = rng.normal(size=(count, 3, 2)).astype(np.float32)
    # A missing number says something of its own.
    signal = np.nan_to_num(numbers[:, 0], nan=2.0) + (categories[:, 0] - 1) * np.nan_to_num(numbers[:, 1])
    tensors = {"numbers": numbers, "categories": categories, "past": past}
    return {name: torch.from_numpy(value) for name, value in tensors.items()}, signal + past[:, 0, 0]


def targets(task: Task, signal: npt.NDArray[np.float64]) -> torch.Tensor:
    if isinstance(task, Multiclass):
        return torch.from_numpy(np.digitize(signal, [-1, 0, 1]))
    found = signal > 0.5 if isinstance(task, Binary) else signal * 40 + 300
    found = np.stack([found, signal.cumsum()], axis=1) if task == FORECAST else found
    return torch.from_numpy(found.astype(np.float32))


def trees_alone(task: Task) -> Predictor:
    """Untrained; the network takes the table's columns, the trees every tensor of the signature."""
    predictor = build(Feedforward(trees="alone"), SIGNATURE[:2], task.objective).eval()
    assert predictor.trees is not None
    predictor.trees.names = tuple(spec.name for spec in SIGNATURE)
    return predictor


def answers(predictor: Predictor, tensors: Tensors) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        return predictor(**tensors).numpy()


def matrix(tensors: Tensors) -> npt.NDArray[np.float32]:
    found = np.concatenate([tensors[spec.name].flatten(1).numpy() for spec in SIGNATURE], axis=1, dtype=np.float32)
    return np.where(np.isnan(found).all(axis=0), 0, found)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_the_trees_answer_as_scikit_learn_does(task: Task) -> None:
    """On rows that it has not seen; the same settings, stopped at the best round."""
    predictor, (tensors, signal), (held, held_signal) = trees_alone(task), rows(0), rows(1, 300)
    settings: dict[str, Any] = {"learning_rate": 0.05, "max_leaf_nodes": 15, "max_depth": 8, "l2_regularization": 1.0}
    settings |= {"early_stopping": True, "n_iter_no_change": 30, "random_state": 0}
    settings["max_iter"] = min(1000, MOST_TREES // task.objective.width)
    target, held_target, new = targets(task, signal), targets(task, held_signal), matrix(rows(2)[0])
    predictor.fit(tensors, target, (held, held_target))

    def staged(model: Any, y: torch.Tensor, y_held: torch.Tensor) -> npt.NDArray[np.float64]:
        model.fit(matrix(tensors), y.numpy(), X_val=matrix(held), y_val=y_held.numpy())
        found = list(getattr(model, "staged_predict_proba", model.staged_predict)(new))
        return found[int(np.argmax(model.validation_score_)) - 1]

    if task.objective.is_calibrated:
        classes = staged(HistGradientBoostingClassifier(**settings), target.long(), held_target.long())
        expected = classes[:, -task.objective.width :]
    else:
        location, scale = target.double().mean(), target.double().std(correction=0)
        of_horizons = [((each - location) / scale).reshape(len(each), -1).T for each in (target, held_target)]
        losses = [{"loss": "quantile", "quantile": q} for q in task.objective.options.get("quantiles", ())] or [{}]
        models = [HistGradientBoostingRegressor(**settings, **loss) for loss in losses]
        found = [staged(model, *ys) for ys in zip(*of_horizons, strict=True) for model in models]
        expected = np.stack(found, axis=1) * float(scale) + float(location)
    np.testing.assert_allclose(answers(predictor, rows(2)[0]), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_the_graph_answers_alike_however_many_rows_come_together(task: Task) -> None:
    """One thread, as the server has: each row has the same bits alone and among others."""
    tensors, signal = rows(0)
    parameters = Feedforward(trees="mean", label_scale="log" if isinstance(task, Regression) else "identity")
    torch.manual_seed(0)
    graph = export(build(parameters, SIGNATURE[:2], task.objective), SIGNATURE[:2])
    predictor = build(parameters, SIGNATURE[:2], task.objective).eval()
    of_table = {spec.name: tensors[spec.name] for spec in SIGNATURE[:2]}
    target = targets(task, signal)
    predictor.fit(of_table, target.clamp(min=0) if isinstance(task, Regression) else target)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    whole = with_weights(graph, predictor.state_dict())
    session = onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])
    new = {spec.name: rows(3)[0][spec.name] for spec in SIGNATURE[:2]}
    [every] = session.run(["output"], {name: value.numpy() for name, value in new.items()})
    np.testing.assert_allclose(every, answers(predictor, new), rtol=1e-5, atol=1e-5)
    for count in (1, 2, 3, 7, 64, 511):
        [some] = session.run(["output"], {name: value[:count].numpy() for name, value in new.items()})
        np.testing.assert_array_equal(some, every[:count])


def test_the_graph_answers_for_each_part_too() -> None:
    """The released model's parts stand beside it in the comparison."""
    tensors, signal = rows(0)
    of_table = {spec.name: tensors[spec.name] for spec in SIGNATURE[:2]}
    parameters, objective = Feedforward(trees="mean", hidden=()), Binary().objective
    predictor = build(parameters, SIGNATURE[:2], objective).eval()
    predictor.fit(of_table, targets(Binary(), signal))
    whole = with_weights(export(build(parameters, SIGNATURE[:2], objective), SIGNATURE[:2]), predictor.state_dict())
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in of_table.items()}
    both, network, trees = session.run(["output", "network", "trees"], given)
    np.testing.assert_allclose(both, (network + trees) / 2, atol=1e-6)
    predictor.is_trees_alone = True
    np.testing.assert_allclose(trees, answers(predictor, of_table), atol=1e-6)
    assert np.abs(network - trees).max() > 0.1


def test_a_class_that_does_not_occur_is_as_good_as_impossible() -> None:
    task = Multiclass(classes=("a", "b", "never", "c"))
    tensors, signal = rows(0)
    predictor = trees_alone(task)
    # A held-out row of the class that no training row has does not stop the fit.
    predictor.fit(tensors, targets(task, signal).where(targets(task, signal) != 2, 3), (tensors, targets(task, signal)))
    found = answers(predictor, tensors)
    assert found[:, 2].max() < 1e-9
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == 1).any()


@pytest.mark.parametrize("occurring", [(0,), (2,), (0, 3), (1, 2)], ids=str)
def test_few_of_several_classes_are_told_apart_as_well(occurring: tuple[int, ...]) -> None:
    """Scikit-learn has one tree a round for two classes, and takes no single one."""
    task = TASKS[2]
    tensors, signal = rows(0)
    predictor = trees_alone(task)
    target = torch.tensor(occurring)[torch.from_numpy((signal > 0).astype(np.int64) % len(occurring))]
    predictor.fit(tensors, target, (tensors, target))
    found = answers(predictor, tensors)
    assert (found.argmax(axis=1) == target.numpy()).mean() > 0.95
    assert found[:, [place for place in range(4) if place not in occurring]].max() < 1e-9


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_the_only_one_of_two_classes_is_certain(only: float) -> None:
    tensors, _ = rows(0)
    predictor = trees_alone(Binary())
    predictor.fit(tensors, torch.full((ROWS,), only))
    np.testing.assert_allclose(answers(predictor, tensors), only, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_held_rows_that_cannot_stop_the_fit_are_left_aside(count: int) -> None:
    """None, one, or all of a class that no training row has."""
    task = TASKS[2]
    tensors, signal = rows(0)
    held, held_signal = rows(1, count)
    target = targets(task, signal).where(targets(task, signal) != 3, 0)
    held_target = torch.full((count,), 3) if count > 1 else targets(task, held_signal)
    predictor = trees_alone(task)
    predictor.fit(tensors, target, (held, held_target))
    assert (answers(predictor, tensors).argmax(axis=1) == target.numpy()).mean() > 0.8


@pytest.mark.parametrize(
    ("task", "signature", "parameters", "expected"),
    [
        (Binary(), (TensorSpec(name="scan", dtype="uint8", shape=(1, 8, 8)),), {}, "none beside scan"),
        (Multilabel(labels=("a", "b"), thresholds=(0.5, 0.5)), SIGNATURE, {}, "none for the task multilabel"),
        (Binary(), SIGNATURE, {"class_balance": True}, "none with class_balance"),
    ],
)
def test_what_trees_cannot_do_is_refused_before_a_training(
    task: Task, signature: tuple[TensorSpec, ...], parameters: dict[str, Any], expected: str
) -> None:
    with pytest.raises(WorkloadError) as refused:
        Feedforward(trees="mean", **parameters).suits(task, signature)
    assert (refused.value.field, refused.value.expected) == ("training.parameters.trees", expected)
