"""What every task of the catalogue must do, and its figures against formulas written anew."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
from millrace.errors import AnswerError, WorkloadError
from millrace.tasks import catalogue
from millrace.tasks.answer import (
    arrow_column,
    arrow_type,
    athena_type,
    cells,
    has_parts,
    in_words,
    read_answer,
    template,
)
from millrace.tasks.binary import Binary
from millrace.tasks.task import Task
from millrace.workload.declaration import Prediction
from tests.plant import plant_label, plant_output, plant_rows, write_plant

DAYS = 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task as the plant declares it, labels of its rows, and what a good model says about them."""

    name: str
    task: Task
    column: pa.ChunkedArray
    """The labels in two chunks, as a table has them."""
    output_NW: npt.NDArray[np.floating[Any]]
    constant: Any

    @property
    def labels(self) -> list[Any]:
        found: list[Any] = self.column.to_pylist()
        return found

    @property
    def targets(self) -> npt.NDArray[Any]:
        return self.task.targets(self.column)


@cache
def case_of(name: str) -> Case:
    with TemporaryDirectory() as folder:
        plant = write_plant(Path(folder), name)
        rows = plant_rows(name, days=DAYS)
        labels = plant.labels(rows)
        labels, rows = labels.drop_null(), rows.filter(pa.array(labels.is_valid().to_numpy()))
        half = rows.num_rows // 2
        return Case(
            name=name,
            task=plant.task,
            column=pa.chunked_array([*labels.slice(0, half).chunks, *labels.slice(half).chunks]),
            output_NW=plant_output(plant, rows),
            constant=plant.workload.prediction.constant,
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
    parts = (len(case.task.part_names),) if case.task.part_names else ()
    assert (target_N.dtype, target_N.shape) == (np.dtype(case.task.objective.target), (len(case.labels), *parts))
    assert target_N.flags.writeable  # torch warns of memory that it must not write
    assert case.task.objective.width == case.output_NW.shape[1]


def test_the_error_of_a_decision_is_that_of_its_row(case: Case) -> None:
    """Two roads: from the graph's numbers and targets, and from a kept answer and the label as the contract has it."""
    answers = case.task.answers(case.output_NW)
    errors_N = case.task.errors(case.output_NW, case.targets)
    kept = [case.task.error(value, label) for value, label in zip(answers["value"].tolist(), case.labels, strict=True)]
    np.testing.assert_allclose(errors_N, kept, atol=1e-4)
    assert errors_N.mean() > 0


def test_the_parts_of_an_answer_have_its_figures_and_their_mean_is_the_whole(case: Case) -> None:
    found = case.task.parts(case.output_NW, case.targets)
    assert tuple(found) == case.task.part_names
    assert has_parts(case.task) == bool(found)
    if found:
        whole = case.task.metrics(case.output_NW, case.targets)
        assert whole["error"] == pytest.approx(np.mean([one["error"] for one in found.values()]))
        assert all(len(field_values[0]) == len(found) for field_values in case.task.answers(case.output_NW).values())
        wanted = "log_loss" if case.task.error_is_share else "coverage_gap"
        assert all(one[wanted] is not None for one in found.values())


def test_a_decision_counts_those_of_its_labels_that_have_come(case: Case) -> None:
    if not case.task.part_names:
        return
    value, label = case.task.answers(case.output_NW)["value"][0].tolist(), case.labels[0]
    first = case.task.error(value, [label[0], *[None] * (len(label) - 1)])
    alone = case.task.error([value[0]] * len(label), [label[0]] * len(label))
    assert first == pytest.approx(alone)


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
        column = arrow_column(field, answers[field.name])
        assert column.type == arrow_type(field)
        assert field.optional or column.null_count == 0
        assert athena_type(field).startswith("array<") == (field.length > 0) == pa.types.is_list(column.type)


def test_no_rows_have_no_answers(case: Case) -> None:
    """All rows of a request may be rejected."""
    assert {len(column) for column in case.task.answers(case.output_NW[:0]).values()} == {0}


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
    assert read_answer(good, Binary().answer) == good
    for name, value in (("probability", 1.5), ("confidence", -0.1), ("value", 0.5), ("probability", True)):
        with pytest.raises(AnswerError, match=name):
            read_answer(good | {name: value}, Binary().answer)


def test_a_constant_is_an_answer_of_the_task(case: Case) -> None:
    found = case.task.constant(case.constant)
    assert found == plant_label(case.name).fallback_answer
    assert list(found) == [field.name for field in case.task.answer]


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


def test_people_read_a_class_by_the_name_that_the_contract_gives_it() -> None:
    for kind, classes, names, positive, words in (
        ("string", ("No", "Yes"), (), "No", {0: "Yes", 1: "No"}),
        ("boolean", (), ("on time", "late"), True, {0: "on time", 1: "late"}),
        ("int32", (0, 1), (), 1, {}),
        ("int32", (0, 1), ("on time", "late"), 0, {0: "late", 1: "on time"}),
        ("int32", (1, 2, 3), ("low", "middle", "high"), None, {"1": "low", "2": "middle", "3": "high"}),
    ):
        label = Column(name="y", kind=kind, names=names, rules=(Allowed(classes),) * bool(classes))
        said = ("multiclass", {}) if positive is None else ("binary", {"positive": positive})
        task = catalogue.declare(prediction(said[0], **said[1]), label)
        assert task.words == words
        for value in words:
            assert in_words({"value": value}, task.words) == words[value]
        assert [task.error(value, one) for one in label.classes].count(0) == 1, "answers and labels keep the value"
        kept = catalogue.from_document(json.loads(json.dumps(catalogue.to_document(task))))
        assert (kept.words, kept) == (words, replace(task, names=())), "another name makes no other task"
    assert Binary(positive="Yes").class_names == ("not Yes", "Yes"), "a model from before classes had names"


def test_a_threshold_moves_the_answer_and_not_the_probability() -> None:
    declared = catalogue.declare(
        prediction("binary", threshold=0.2, positive=True, fallback=[{"constant": 0.3}]),
        Column(name="y", kind="boolean"),
    )
    output_NW = np.array([[0.1], [0.2], [0.7]], np.float32)
    target_N = np.array([0.0, 1.0, 1.0], np.float32)
    answers, even = declared.answers(output_NW), Binary(positive=True).answers(output_NW)
    assert answers["value"].tolist() == [0, 1, 1]
    assert even["value"].tolist() == [0, 0, 1]
    assert answers["probability"].tolist() == even["probability"].tolist()
    assert answers["confidence"].tolist() == pytest.approx([0.9, 0.2, 0.7])
    assert declared.errors(output_NW, target_N).tolist() == [0, 0, 0]
    assert declared.constant(0.3) == {"value": 1, "probability": 0.3, "confidence": 0.3}
    figures, plain = (task.metrics(output_NW, target_N) for task in (declared, Binary(positive=True)))
    assert figures["accuracy"] == 1 > plain["accuracy"]
    assert (figures["recall"], figures["precision"]) == (1, 1)
    assert (plain["recall"], plain["precision"]) == (0.5, 1)
    nothing = declared.metrics(np.zeros((3, 1), np.float32), np.zeros(3, np.float32))
    assert (nothing["recall"], nothing["precision"]) == (None, None)
    assert {name: figures[name] for name in ("log_loss", "auc", "ece")} == {
        name: plain[name] for name in ("log_loss", "auc", "ece")
    }


@pytest.mark.parametrize("threshold", [at / 100 for at in range(1, 100)])
def test_the_answer_is_what_a_reader_of_its_probability_computes(threshold: float) -> None:
    output_NW = np.array([[threshold]], np.float32)
    answers = Binary(threshold=threshold).answers(output_NW)
    assert answers["value"][0] == (answers["probability"][0] >= threshold)
    wrong_N = Binary(threshold=threshold).errors(output_NW, np.ones(1, np.float32))
    assert wrong_N[0] == 1 - answers["value"][0]


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

    from millrace.models.predictor import pinball

    target_N = torch.from_numpy(np.random.default_rng(0).normal(size=20_001).astype(np.float32))
    quantiles = (0.05, 0.5, 0.95)
    best_Q = torch.quantile(target_N, torch.tensor(quantiles))
    least = float(pinball(best_Q.expand(len(target_N), 3), target_N, quantiles))
    for place in range(3):
        for moved in (-0.1, 0.1):
            other_Q = best_Q.clone()
            other_Q[place] += moved
            assert float(pinball(other_Q.expand(len(target_N), 3), target_N, quantiles)) > least


def test_the_figures_of_several_labels_are_those_of_their_formulas() -> None:
    case = case_of("multilabel")
    p_NP, true_NP = case.output_NW.astype(float), np.array(case.labels)
    said_NP = p_NP >= [0.4, 0.5, 0.5]
    found = case.task.parts(case.output_NW, case.targets)
    for part, name in enumerate(("high", "low", "hot")):
        p, said, truth = p_NP[:, part], said_NP[:, part], true_NP[:, part]
        assert found[name]["accuracy"] == pytest.approx((said == truth).mean())
        assert found[name]["base_rate"] == pytest.approx(truth.mean())
        assert found[name]["log_loss"] == pytest.approx(-np.log(np.where(truth, p, 1 - p)).mean(), rel=1e-5)
        rank = stats.mannwhitneyu(p[truth], p[~truth]).statistic
        assert found[name]["auc"] == pytest.approx(rank / (truth.sum() * (~truth).sum()))
        precision, recall = truth[said].mean(), said[truth].mean()
        assert found[name]["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    whole = case.task.metrics(case.output_NW, case.targets)
    for name in ("accuracy", "log_loss", "auc", "f1", "ece"):
        assert whole[name] == pytest.approx(np.mean([one[name] for one in found.values()]))
    assert whole["all_right"] == pytest.approx((said_NP == true_NP).all(axis=1).mean())


def test_a_label_that_never_occurs_has_no_auc_and_no_f1_and_the_others_have() -> None:
    case = case_of("multilabel")
    target_N = case.targets.copy()
    target_N[:, 0] = 0
    output_NW = case.output_NW.copy()
    output_NW[:, 0] = 0.1
    found = case.task.parts(output_NW, target_N)
    assert (found["high"]["auc"], found["high"]["f1"]) == (None, None)
    assert case.task.metrics(output_NW, target_N)["auc"] == pytest.approx(
        np.mean([found[name]["auc"] for name in ("low", "hot")])
    )


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"column": "y", "horizon_hours": []}, "expected hours that rise"),
        ({"column": "y", "horizon_hours": [2, 1]}, r"expected hours that rise, got \[2, 1\]"),
        ({"column": "y", "horizon_hours": [0, 1]}, "greater than 0"),
        (["y"], "two columns or more"),
        (["y", "y"], "each once"),
    ],
)
def test_horizons_rise_and_labels_are_several(label: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prediction("forecast", label=label)


def test_a_list_of_another_length_is_no_answer() -> None:
    task = case_of("forecast").task
    good = {name: [1.0, 2.0] for name in ("value", "lower", "upper", "horizon_hours")}
    assert read_answer(good, task.answer) == good
    for broken in ([1.0], [1.0, None], 1.0, [1.0, float("inf")]):
        with pytest.raises(AnswerError, match="lower: expected"):
            read_answer(good | {"lower": broken}, task.answer)


@pytest.mark.parametrize("name", ["interval", "forecast"])
def test_the_figures_of_an_interval_are_those_of_their_formulas_at_each_horizon(name: str) -> None:
    case = case_of(name)
    levels, true_NP = case.output_NW.astype(float).reshape(len(case.labels), -1, 3), np.array(case.labels)
    whole = case.task.metrics(case.output_NW, case.targets)
    found = list(case.task.parts(case.output_NW, case.targets).values()) or [whole | {"coverage_gap": None}]
    for part, figures in enumerate(found):
        (low, middle, high), truth = levels[:, part].T, true_NP.reshape(len(true_NP), -1)[:, part]
        inside = np.mean((low <= truth) & (truth <= high))
        assert figures["mae"] == pytest.approx(np.abs(middle - truth).mean(), rel=1e-5)
        assert figures["coverage"] == pytest.approx(inside)
        assert figures["coverage_gap"] in (None, pytest.approx(abs(inside - 0.9)))
        assert 0.85 < inside < 0.95  # the plant's noise is known
        short = np.array([[truth - said, said - truth] for said in (low, middle, high)])
        losses = [max_.max(axis=0) for max_ in short * np.array([[q, 1 - q] for q in (0.05, 0.5, 0.95)])[:, :, None]]
        assert figures["pinball"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert name == "interval" or found[0]["error"] < found[1]["error"]
    for figure in ("mae", "coverage", "pinball"):
        assert whole[figure] == pytest.approx(np.mean([one[figure] for one in found]))


NUMBER = Column(name="y", kind="float64")


def text(*words: str) -> Column:
    return Column(name="y", kind="string", rules=(Allowed(words),))


@pytest.mark.parametrize(
    ("task", "given", "label", "message"),
    [
        ("binary", {}, text("a", "b", "c"), "y: expected two validValues"),
        ("binary", {}, Column(name="y", kind="int32", rules=(Allowed((0, 2)),)), "y: expected .*the positive class 1"),
        ("binary", {"positive": True, "huber": 0.5}, Column(name="y", kind="boolean"), "huber: expected no such key"),
        ("multiclass", {}, text("a", "b"), "y: expected three validValues or more"),
        ("regression", {}, Column(name="y", kind="timestamp"), "y: expected a number"),
        ("regression", {"quantiles": (0.1, 0.9)}, NUMBER, "quantiles: expected no such key for the task regression"),
        ("regression", {"label": {"column": "y", "horizon_hours": [1, 2]}}, NUMBER, r"horizon_hours: expected one for"),
        ("regression", {"label": ["y", "z"]}, NUMBER, r"prediction\.label: expected one for the task regression"),
        ("regression", {"positive": "Yes"}, NUMBER, r"prediction\.positive: expected no such key"),
        ("interval", {"quantiles": ()}, NUMBER, "quantiles: expected two quantiles, one below 0.5 and one above it"),
        ("interval", {"quantiles": (0.1, 0.5, 0.9)}, NUMBER, "quantiles: expected two quantiles"),
        ("forecast", {"label": {"column": "y", "horizon_hours": [1, 2]}}, NUMBER, "expected two quantiles"),
        (
            "forecast",
            {"quantiles": [0.1, 0.9], "label": {"column": "y", "horizon_hours": 24}},
            NUMBER,
            r"horizon_hours: expected a list of hours, such as \[1, 2, 3\], got 24",
        ),
        ("multilabel", {}, NUMBER, r"prediction\.label: expected a list of two columns or more, got 'y'"),
        ("multilabel", {"label": ["y", "z"]}, NUMBER, "y: expected a boolean, got 'a float64'"),
    ],
)
def test_what_does_not_suit_the_task_is_refused(task: str, given: dict[str, Any], label: Column, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        catalogue.declare(prediction(task, **given), label)
