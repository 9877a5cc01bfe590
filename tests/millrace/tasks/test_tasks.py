"""What every task of the catalogue must do, and its figures against formulas written anew."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import stats

from millrace.contract.rules.allowed import Allowed
from millrace.contract.schema import Column
from millrace.errors import AnswerError, ArtefactError, WorkloadError
from millrace.tasks import catalogue
from millrace.tasks.answer import ATHENA, arrow_type, cells, empty_answer, read_answer, template
from millrace.tasks.binary import Binary
from millrace.tasks.task import Task
from millrace.workload.declaration import Fallback, Prediction
from tests.plant import plant_label, plant_output, plant_rows, write_plant

DAYS = 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task as the plant declares it, labels of its rows, and what a good model says about them."""

    name: str
    task: Task
    table: pa.Table
    output_NW: npt.NDArray[np.floating[Any]]
    fallback: Fallback

    @property
    def labels(self) -> list[Any]:
        found: list[Any] = self.table["truth"].to_pylist()
        return found

    @property
    def targets(self) -> npt.NDArray[Any]:
        return self.task.targets(self.table["truth"])


@cache
def case_of(name: str) -> Case:
    rows = plant_rows(name, days=DAYS)
    half = rows.num_rows // 2
    with TemporaryDirectory() as folder:
        plant = write_plant(Path(folder), name)
        return Case(
            name=name,
            task=plant.task,
            table=pa.concat_tables([rows.slice(0, half), rows.slice(half)]),
            output_NW=plant_output(plant, rows),
            fallback=plant.workload.prediction.fallback,
        )


@pytest.fixture(params=catalogue.TASKS, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def prediction(task: str, **given: Any) -> Prediction:
    return Prediction.model_validate(
        {"task": task, "label": "y", "key": ("at",), "event_time": "at", "features": ("x",)} | given
    )


def test_a_task_bears_the_name_of_its_line_and_comes_back_from_its_document(case: Case) -> None:
    assert catalogue.TASKS[case.name] is type(case.task)
    assert case.task.kind == case.name
    assert catalogue.from_document(json.loads(json.dumps(catalogue.to_document(case.task)))) == case.task


def test_targets_are_of_the_objectives_type_and_writable(case: Case) -> None:
    target_N = case.targets
    assert (target_N.dtype, target_N.shape) == (np.dtype(case.task.objective.target), (len(case.labels),))
    assert target_N.flags.writeable  # torch warns of memory that it must not write
    assert case.task.objective.width == case.output_NW.shape[1]


def test_the_error_of_a_decision_is_that_of_its_row(case: Case) -> None:
    """Two roads: from the graph's numbers and targets, and from a kept answer and the label as the contract has it."""
    answers = case.task.answers(case.output_NW)
    errors_N = case.task.errors(case.output_NW, case.targets)
    kept = [case.task.error(value, label) for value, label in zip(answers["value"].tolist(), case.labels, strict=True)]
    np.testing.assert_allclose(errors_N, kept, atol=1e-4)
    assert errors_N.mean() > 0


def test_the_mean_error_is_one_of_the_figures(case: Case) -> None:
    target_N = case.targets
    figures = case.task.metrics(case.output_NW, target_N)
    assert figures["error"] == pytest.approx(case.task.errors(case.output_NW, target_N).mean())
    assert case.task.metrics(case.output_NW[:1], target_N[:1]).keys() == figures.keys()


def test_the_figures_that_gates_judge_by_are_there(case: Case) -> None:
    """`calibration` reads `ece`, `base_rate` reads `log_loss`; without it each model would be refused."""
    figures = case.task.metrics(case.output_NW, case.targets)
    wanted = {"ece": case.task.objective.is_calibrated, "log_loss": case.task.error_is_share}
    assert {name for name, is_wanted in wanted.items() if is_wanted} <= {
        name for name, value in figures.items() if value is not None
    }


def test_answers_have_the_declared_fields_and_pass_their_own_check(case: Case) -> None:
    fields = case.task.answer
    answers = case.task.answers(case.output_NW)
    assert [field.name for field in fields] == list(answers)
    assert fields[0].name == "value"
    for row in (json.loads(f"{{{template(fields) % one}}}") for one in cells(answers, fields)):
        assert read_answer(row, fields).keys() == row.keys()
    for field in fields:
        column = pa.array(answers[field.name], arrow_type(field.kind))
        assert field.optional or column.null_count == 0
        assert field.kind in ATHENA


def test_json_brings_a_float32_back_exactly(case: Case) -> None:
    fields, answers = case.task.answer, case.task.answers(case.output_NW)
    read = [json.loads(f"{{{template(fields) % one}}}") for one in cells(answers, fields)]
    for field in fields:
        if field.kind in ("number", "share") and not field.optional:
            exact_N = answers[field.name]
            is_float32_N = exact_N == exact_N.astype(np.float32)
            found_N = np.array([row[field.name] for row in read], np.float32)
            np.testing.assert_array_equal(found_N[is_float32_N], exact_N[is_float32_N])


@pytest.mark.parametrize("broken", [None, "x", [], {}, {"value": None}, {"value": []}, {"value": float("nan")}])
def test_an_answer_that_is_none_is_refused(case: Case, broken: object) -> None:
    with pytest.raises(AnswerError, match=r"expected|value"):
        read_answer(broken, case.task.answer)


def test_a_share_outside_of_zero_to_one_is_refused() -> None:
    good = {"value": 1, "probability": 0.5, "confidence": 0.5}
    assert read_answer(good, Binary.answer) == good
    for name, value in (("probability", 1.5), ("confidence", -0.1), ("value", 0.5), ("probability", True)):
        with pytest.raises(AnswerError, match=name):
            read_answer(good | {name: value}, Binary.answer)


def test_a_fallback_is_the_declared_answer_or_an_empty_one(case: Case) -> None:
    assert case.task.fallback(case.fallback) == plant_label(case.name).fallback_answer
    assert case.task.fallback(Fallback()) == empty_answer(case.task.answer)


def test_the_activation_gives_numbers_that_answers_can_be_made_of(case: Case) -> None:
    import torch

    from millrace.models.predictor import Predictor

    class Raw(torch.nn.Module):
        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            return numbers

    predictor = Predictor(Raw(), case.task.objective)
    raw_NW = torch.randn(len(case.labels), case.task.objective.width, generator=torch.Generator().manual_seed(0))
    answers = case.task.answers(predictor(numbers=raw_NW).numpy())
    for one in cells(answers, case.task.answer):
        read_answer(json.loads(f"{{{template(case.task.answer) % one}}}"), case.task.answer)
    loss = predictor.loss(raw_NW, torch.from_numpy(case.targets))
    assert math.isfinite(float(loss))


def test_the_binary_figures_are_those_of_their_formulas() -> None:
    case = case_of("binary")
    target_N = case.targets
    p_N = case.output_NW[:, 0].astype(float)
    figures = case.task.metrics(case.output_NW, target_N)
    is_positive = np.array(case.labels) == "on"
    assert target_N.tolist() == is_positive.astype(float).tolist()
    assert figures["accuracy"] == pytest.approx(((p_N >= 0.5) == is_positive).mean())
    assert figures["log_loss"] == pytest.approx(-np.log(np.where(is_positive, p_N, 1 - p_N)).mean(), rel=1e-6)
    rank = stats.mannwhitneyu(p_N[is_positive], p_N[~is_positive]).statistic
    assert figures["auc"] == pytest.approx(rank / (is_positive.sum() * (~is_positive).sum()))


def test_the_log_loss_of_certain_and_right_answers_is_zero_without_a_sign() -> None:
    case = case_of("multiclass")
    figures = case.task.metrics(np.eye(3, dtype=np.float32)[case.targets], case.targets)
    assert str(figures["log_loss"]) == "0.0"


def test_the_figures_of_classes_are_those_of_their_formulas() -> None:
    case = case_of("multiclass")
    target_N = case.targets
    assert target_N.tolist() == [("low", "middle", "high").index(label) for label in case.labels]
    figures = case.task.metrics(case.output_NW, target_N)
    likeliest_N = case.output_NW.argmax(axis=1)
    assert figures["accuracy"] == pytest.approx((likeliest_N == target_N).mean())
    assert figures["macro_recall"] == pytest.approx(
        np.mean([(likeliest_N[target_N == k] == k).mean() for k in range(3)])
    )
    chosen = case.output_NW[np.arange(len(target_N)), target_N].astype(float)
    assert figures["log_loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    bins = np.minimum((case.output_NW.max(axis=1) * 10).astype(int), 9)
    distance = [
        abs(case.output_NW.max(axis=1)[bins == b].mean() - (likeliest_N == target_N)[bins == b].mean())
        * (bins == b).mean()
        for b in np.unique(bins)
    ]
    assert figures["ece"] == pytest.approx(sum(distance), rel=1e-5)


def test_the_figures_of_numbers_are_those_of_their_formulas() -> None:
    case = case_of("regression")
    target_N = case.targets
    said_N, true_N = case.output_NW[:, 0].astype(float), np.array(case.labels)
    figures = case.task.metrics(case.output_NW, target_N)
    assert figures["mae"] == pytest.approx(np.abs(said_N - true_N).mean(), rel=1e-5)
    assert figures["rmse"] == pytest.approx(np.sqrt(((said_N - true_N) ** 2).mean()), rel=1e-5)
    assert figures["r2"] == pytest.approx(1 - ((said_N - true_N) ** 2).sum() / ((true_N - true_N.mean()) ** 2).sum())
    assert case.task.metrics(case.output_NW[:2], np.array([1, 1], np.float32))["r2"] is None


def test_the_figures_of_an_interval_are_those_of_their_formulas() -> None:
    case = case_of("interval")
    target_N, output_NW = case.targets, case.output_NW.astype(float)
    figures = case.task.metrics(case.output_NW, target_N)
    assert figures["mae"] == pytest.approx(np.abs(output_NW[:, 1] - target_N).mean(), rel=1e-5)
    inside = [low <= y <= high for (low, _, high), y in zip(output_NW, target_N, strict=True)]
    assert figures["coverage"] == pytest.approx(np.mean(inside))
    assert 0.85 < np.mean(inside) < 0.95  # the plant's noise is known
    assert figures["width"] == pytest.approx(1.32, rel=1e-4)
    losses = [
        (q if y >= said else q - 1) * (y - said)
        for row, y in zip(output_NW, target_N, strict=True)
        for q, said in zip((0.05, 0.5, 0.95), row, strict=True)
    ]
    assert figures["pinball"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_width_of_the_huber_loss_is_refused_where_the_loss_is_another() -> None:
    label = Column(name="y", kind="boolean")
    with pytest.raises(WorkloadError, match=r"prediction\.huber: expected no such key for the task binary, got 0\.5"):
        catalogue.declare(prediction("binary", positive=True, huber=0.5), label)


def test_the_huber_loss_goes_from_the_mean_to_the_median() -> None:
    """Of labels 0, 0, 10 the mean is 10/3, the median 0; where the slope is 0 lies what a model would answer."""
    import torch

    from millrace.models.predictor import Predictor

    target_N = torch.tensor([0.0, 0.0, 10.0])
    best = []
    for huber in (100.0, 1.0, 0.01):
        task = catalogue.declare(prediction("regression", huber=huber), Column(name="y", kind="float64"))
        predictor = Predictor(torch.nn.Identity(), task.objective)
        candidates = torch.linspace(-1, 10, 1101)
        losses = [float(predictor.loss(one.expand(3, 1), target_N)) for one in candidates]
        best.append(float(candidates[int(np.argmin(losses))]))
    assert best == pytest.approx([10 / 3, 0.5, 0.005], abs=0.02)


def test_the_ends_of_an_interval_never_cross() -> None:
    task = case_of("interval").task
    crossed_NW, target_N = np.array([[3, 1, 2], [1, 2, 3]], np.float32), np.array([2.0, 0.0], np.float32)
    found = task.answers(crossed_NW)
    assert [found[name].tolist() for name in ("lower", "value", "upper")] == [[1, 1], [2, 2], [3, 3]]
    assert task.errors(crossed_NW, target_N).tolist() == [0, 2]
    assert task.metrics(crossed_NW, target_N)["coverage"] == 0.5


def test_the_pinball_loss_is_smallest_at_the_quantiles_of_the_targets() -> None:
    import torch

    from millrace.models.losses import pinball

    target_N = torch.from_numpy(np.random.default_rng(0).normal(size=20_001).astype(np.float32))
    quantiles = (0.05, 0.5, 0.95)
    best_Q = torch.quantile(target_N, torch.tensor(quantiles))
    least = float(pinball(best_Q.expand(len(target_N), 3), target_N, quantiles))
    for place in range(3):
        for moved in (-0.1, 0.1):
            other_Q = best_Q.clone()
            other_Q[place] += moved
            assert float(pinball(other_Q.expand(len(target_N), 3), target_N, quantiles)) > least


@pytest.mark.parametrize(
    ("task", "quantiles", "expected"),
    [
        ("interval", (), "two quantiles, one below 0.5 and one above it"),
        ("interval", (0.6, 0.9), "two quantiles"),
        ("interval", (0.1, 0.5, 0.9), "two quantiles"),
        ("regression", (0.1, 0.9), "no such key for the task regression"),
    ],
)
def test_quantiles_are_declared_where_they_are_answered(task: str, quantiles: tuple[float, ...], expected: str) -> None:
    with pytest.raises(WorkloadError, match=f"prediction.quantiles: expected {expected}"):
        catalogue.declare(prediction(task, quantiles=quantiles), Column(name="y", kind="float64"))


@pytest.mark.parametrize(
    ("task", "label", "expected"),
    [
        ("binary", Column(name="y", kind="string", rules=(Allowed(("a", "b", "c")),)), "two validValues"),
        ("binary", Column(name="y", kind="int32", rules=(Allowed((0, 2)),)), "the positive class 1"),
        ("multiclass", Column(name="y", kind="boolean"), "three validValues or more"),
        ("multiclass", Column(name="y", kind="string", rules=(Allowed(("a", "b")),)), "three validValues or more"),
        ("regression", Column(name="y", kind="string"), "a number"),
        ("regression", Column(name="y", kind="timestamp"), "a number"),
    ],
)
def test_a_label_that_does_not_suit_is_refused(task: str, label: Column, expected: str) -> None:
    with pytest.raises(WorkloadError, match=f"y: expected .*{expected}"):
        catalogue.declare(prediction(task), label)


def test_classes_of_integers_are_answered_as_text() -> None:
    task = catalogue.declare(prediction("multiclass"), Column(name="y", kind="int32", rules=(Allowed((1, 2, 3)),)))
    assert task.targets(pa.chunked_array([pa.array([3, 1], pa.int32())])).tolist() == [2, 0]
    assert task.answers(np.array([[0.1, 0.2, 0.7]], np.float32))["value"].tolist() == ["3"]
    assert (task.error("3", 3), task.error("3", 1)) == (0.0, 1.0)


def test_an_unknown_task_or_field_of_a_document_is_refused() -> None:
    with pytest.raises(ArtefactError, match=f"expected one of {', '.join(catalogue.TASKS)}, got 'ranking'"):
        catalogue.from_document({"kind": "ranking"})
    with pytest.raises(ArtefactError, match="expected the fields of multiclass"):
        catalogue.from_document({"kind": "multiclass", "names": ["a"]})
