"""Each measure on rows whose figure is known; shares of groups against scikit-learn's."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fairlearn import metrics as fairness_metrics
from sklearn.metrics import recall_score

from millrace.datasets.split import Split
from millrace.evaluation.bootstrap import successive
from millrace.evaluation.evidence import Estimate, GateEvidence
from millrace.evaluation.gates.bounds import Memorisation
from millrace.evaluation.gates.catalogue import Gates, judge_all
from millrace.evaluation.gates.fairness import Fairness
from millrace.evaluation.gates.gate import Gate, Positive, Verdict, held_to
from millrace.evaluation.gates.leakage import Leakage
from millrace.evaluation.gates.robustness import Robustness
from millrace.evaluation.gates.selective import Selective
from millrace.evaluation.gates.slices import Slices
from millrace.evaluation.gates.value import BinaryWorth, ClassWorth, NumberWorth, Value
from millrace.evaluation.measures.case import AnsweredCase, Case
from millrace.evaluation.measures.catalogue import measure, measure_of
from millrace.evaluation.measures.contenders import contenders
from millrace.evaluation.measures.costs import costs_of
from millrace.evaluation.measures.selective import automation, find_threshold
from millrace.evaluation.measures.value import amounts
from millrace.evaluation.report import Evaluation
from millrace.features.category import Category
from millrace.features.number import Number
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from millrace.workload.policy import Automate, Costs, Policy
from tests.millrace.evaluation.gates.test_catalogue import report as good_report

TRAIN, VALIDATION, TEST = 2000, 1000, 2000
ROWS = TRAIN + VALIDATION + TEST
PARTS = Split(
    train=slice(0, TRAIN),
    validation=slice(TRAIN, TRAIN + VALIDATION),
    test=slice(TRAIN + VALIDATION, ROWS),
    validation_from=np.datetime64("2026-01-01"),
    test_from=np.datetime64("2026-01-01"),
    end=np.datetime64("2026-02-01"),
    is_in_time=False,
)
LEAST: dict[str, Any] = {
    "latency": {"max_p99_ms": 50},
    "baseline": {"kind": "base_rate", "margin": 0},
    "non_inferiority": {"recent_days": 28, "margin": 0.02, "confidence": 0.95},
}
FEATURES = (Number(name="x"), Number(name="maybe", optional=True), Category(name="kind", words=("a", "b")))


def table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": rng.normal(0, 1, ROWS),
            "maybe": pa.array([None if number % 5 == 0 else 1.0 for number in range(ROWS)]),
            "kind": rng.choice(["a", "b"], ROWS).tolist(),
            "sex": rng.choice(["f", "m"], ROWS, p=[0.3, 0.7]).tolist(),
            "age": pa.array(rng.integers(18, 90, ROWS)),
            "town": [None if number % 50 == 0 else f"town {number % 40}" for number in range(ROWS)],
        }
    )


def sigmoid(x: Any) -> np.ndarray:
    return (1 / (1 + np.exp(-4 * np.asarray(x, np.float64)))).astype(np.float32)


def by_x(tensors: Any) -> np.ndarray:
    """A model that answers by `x` alone."""
    return sigmoid(tensors["numbers"][:, :1])


def case_of(
    rows: pa.Table, target: np.ndarray, task: Task | None = None, outputs: Any = by_x, output: Any = None
) -> Case:
    task = task or Binary()
    test = target[PARTS.test]
    constant = np.full((TEST, 1), target[PARTS.train].mean(), np.float32)
    case = Case(
        task=task,
        features=FEATURES,
        outputs=outputs,
        table=rows,
        target_N=target,
        times_N=np.arange(len(target)).astype("datetime64[s]"),
        parts=PARTS,
        output_TW=np.zeros((TEST, 1), np.float32),
        today=AnsweredCase(
            who="naive", name="mean", task=task, output_TW=constant, target_T=test, rows_T=np.ones(TEST, bool)
        ),
        block_T=successive(TEST),
    )
    return replace(case, output_TW=outputs(case.test_tensors) if output is None else output)


@pytest.fixture
def case() -> Case:
    """The label is 1 with the probability that the model says."""
    rows = table()
    p = sigmoid(rows["x"].to_numpy())
    return case_of(rows, (np.random.default_rng(1).random(ROWS) < p).astype(np.float32))


class SureEvidence(GateEvidence):
    gate = "sure"

    share: Estimate


class Sure(Gate):
    """A gate that the product does not have."""

    evidence = SureEvidence

    at_most: Positive

    def judge(self, report: Evaluation) -> Verdict:
        found = report.of(SureEvidence)
        measured = math.nan if found is None else found.share.value
        return held_to(self.at_most, measured, figure="sure answers", sentence=f"{measured:.1%} are sure")


class MoreGates(Gates):
    sure: Sure | None = None


@pytest.mark.parametrize(
    ("bound", "measured", "passes"), [(0.99, True, True), (0.01, True, False), (0.99, False, False)]
)
def test_a_gate_with_a_measure_is_its_file_its_line_and_its_measure(
    case: Case, monkeypatch: pytest.MonkeyPatch, bound: float, measured: bool, passes: bool
) -> None:
    """Nothing else knows it: it is measured, written, read and judged, and refuses a report without its figure."""
    file: Any = ModuleType("millrace.evaluation.measures.sure")
    file.measure = lambda _, case: SureEvidence(share=case.bootstrap.mean(abs(case.output_TW[:, 0] - 0.5) > 0.4))
    monkeypatch.setitem(sys.modules, file.__name__, file)
    gates = MoreGates.model_validate(LEAST | {"sure": {"at_most": bound}})
    found = measure(gates, case)
    assert list(found) == ["sure"], "only what is declared is measured"
    report = good_report().model_copy(update=found if measured else {})
    read = Evaluation.model_validate_json(report.to_json())
    sure = {one.name: one for one in judge_all(read, gates, against="baseline")}["sure"]
    assert sure.passed == passes
    assert 0.01 < sure.measured < 0.99 or not measured


def test_contenders_are_paired(case: Case) -> None:
    candidate, mean = contenders(case, [case.today])
    assert candidate.scores["error"].value == pytest.approx(case.errors.mean())
    gain = mean.improvements["error"]
    assert gain.value == pytest.approx(mean.scores["error"].value - candidate.scores["error"].value)
    assert 0 < gain.low < gain.value < gain.high
    loss = case.task.metrics(case.output_TW, case.test_targets)["log_loss"]
    assert candidate.scores["log_loss"].value == pytest.approx(loss, rel=1e-5)


# Slices and groups


def slices_of(case: Case, *columns: str, minimum_rows: int = 50) -> dict[str, Any]:
    gate = Slices(columns=columns, max_error=0.5, minimum_rows=minimum_rows)
    found: Any = measure_of("slices")(gate, case)
    return {f"{one.column}={one.value}": one for one in found.slices}


def test_each_row_is_in_one_slice_of_each_column(case: Case) -> None:
    found = slices_of(case, "sex", "age", "town")
    assert [name for name in found if name.startswith("sex")] == ["sex=f", "sex=m"]
    ages = [one for name, one in found.items() if name.startswith("age")]
    assert len(ages) == 4, "quarters"
    assert sum(one.rows for one in ages) == TEST
    towns = [name for name in found if name.startswith("town")]
    assert len(towns) == 22
    assert {"town=missing", "town=others"} <= set(towns)


def test_the_error_of_a_slice_is_that_of_its_rows(case: Case) -> None:
    women = np.array(case.test["sex"].to_pylist()) == "f"
    one = slices_of(case, "sex")["sex=f"]
    assert one.rows == women.sum()
    assert one.error.value == pytest.approx(case.errors[women].mean())
    assert one.error.low < one.error.value < one.error.high
    assert slices_of(case, "sex", minimum_rows=1000)["sex=f"].error is None


BARS = {
    "max_demographic_parity_difference": 0.1,
    "min_demographic_parity_ratio": 0.8,
    "max_equalized_odds_difference": 0.1,
    "max_error_difference": 0.1,
}


def test_disparities_are_those_of_fairlearn_and_the_groups_those_of_scikit_learn(case: Case) -> None:
    """Women are selected less: their load is moved."""
    shift = np.where(np.array(case.table["sex"].to_pylist()) == "f", -0.4, 0.0)
    case = case_of(case.table.set_column(0, "x", pa.array(case.table["x"].to_numpy() + shift)), case.target_N)
    found: Any = measure_of("fairness")(Fairness(columns=("sex",), **BARS), case)
    label, answer = case.test_targets > 0, case.output_TW[:, 0] >= 0.5
    women = np.array(case.test["sex"].to_pylist()) == "f"
    recall = {who: recall_score(label[mask], answer[mask]) for who, mask in (("f", women), ("m", ~women))}
    figures = {one.measure: one.figure for one in found.disparities}
    for name in ("demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference"):
        theirs = getattr(fairness_metrics, name)(label, answer, sensitive_features=case.test["sex"].to_pylist())
        assert figures[name].value == pytest.approx(theirs), name
    assert figures["error_difference"].value == pytest.approx(
        abs(case.errors[women].mean() - case.errors[~women].mean())
    )
    assert all(one.low < one.value < one.high for one in figures.values())
    group = found.groups[0]
    assert (group.value, group.true_positive_rate) == ("f", pytest.approx(recall["f"]))
    assert found.disparities[0].lowest.startswith("f (")


# Value


def test_a_decision_is_worth_what_the_table_says() -> None:
    worth = BinaryWorth(true_positive=5, false_positive=-3, false_negative=-4, true_negative=1)
    output, target = np.array([[0.9], [0.9], [0.1], [0.1]]), np.array([1, 0, 1, 0], np.float32)
    assert amounts(worth, Binary(), output, target).tolist() == [5, -3, -4, 1]
    classes = Multiclass(classes=("a", "b", "c"))
    pairs = ClassWorth(right=1, wrong=-1, pairs={"b": {"c": -9}})
    assert amounts(pairs, classes, np.eye(3)[[0, 2, 1]], np.array([0, 1, 2])).tolist() == [1, -9, -1]
    numbers = NumberWorth(above=-1, below=-3)
    assert amounts(numbers, Regression(), np.array([[12.0], [8.0]]), np.array([10.0, 10.0])).tolist() == [-2, -6]


def test_the_gain_is_over_what_decides_today(case: Case) -> None:
    worth = BinaryWorth(true_positive=1, false_positive=0, false_negative=0, true_negative=1)
    gate = Value(unit="EUR", decisions=1000, worth=worth)
    found: Any = measure_of("value")(gate, case)
    naive_error = case.task.errors(case.today.output_TW, case.test_targets).mean()
    assert found.value.value == pytest.approx(1000 * (1 - case.errors.mean()))
    assert found.gain.value == pytest.approx(1000 * (naive_error - case.errors.mean()))
    assert found.gain.low > 0


# Selective prediction


def test_the_promise_of_a_threshold_is_kept_19_times_in_20() -> None:
    """Two hundred calibration sets of a model whose confidence is honest; the true error of each threshold is known."""
    rng, broken, coverages = np.random.default_rng(0), 0, []
    population = rng.uniform(0.5, 1, 200_000)
    for _ in range(200):
        confidence = rng.uniform(0.5, 1, 1000)
        wrong = (rng.random(1000) > confidence).astype(float)
        threshold = find_threshold(confidence, wrong, error=0.1, risk=0.05)
        if threshold is not None:
            used = population >= threshold
            broken += (1 - population[used]).mean() > 0.1
            coverages.append(used.mean())
    assert broken <= 16
    # With 20 % of errors among the least sure of those used, 40 % of the rows would keep the promise exactly.
    assert np.mean(coverages) > 0.2


def test_of_an_entity_one_row_counts_for_the_promise(case: Case) -> None:
    """A hundred rows about a patient are no more evidence than one: what rows would prove is not promised."""
    gate = Selective(max_error=0.1, min_coverage=0.3)
    tenth: Any = measure_of("selective")(gate, replace(case, entity_N=np.arange(ROWS) // 10))
    assert tenth.calibration_rows == len({row // 10 for row in range(PARTS.validation.start, PARTS.validation.stop)})
    few: Any = measure_of("selective")(gate, replace(case, entity_N=np.arange(ROWS) // 100))
    assert few.threshold is None


def test_a_policy_has_the_threshold_of_its_promised_error(case: Case) -> None:
    found = automation(Policy(automate=Automate(promised_error=0.1)), case)
    gate: Any = measure_of("selective")(Selective(max_error=0.1, min_coverage=0.3), case)
    assert found is not None
    assert (found.promised_error, found.threshold, found.coverage) == (0.1, gate.threshold, gate.coverage)
    assert automation(Policy(automate=Automate(confidence=0.9)), case) is None
    assert automation(None, case) is None


# Costs


COSTS = Costs(false_positive=5, false_negative=15, review=1, currency="EUR")


def test_the_costs_are_those_of_the_answers_that_act_and_of_a_person_for_the_others(case: Case) -> None:
    """The model's probabilities are true, so what is expected is what comes; the policy costs least."""
    task = Binary(threshold=5 / 20, costs=((0, 5), (15, 0)))
    found = costs_of(Policy(automate=Automate(costs=COSTS)), replace(case, task=task))
    assert found is not None
    p, target = case.output_TW[:, 0].astype(np.float64), case.test_targets
    expected, says = np.minimum((1 - p) * 5, p * 15), p >= 0.25
    came = np.where(says, np.where(target == 0, 5, 0), np.where(target == 1, 15, 0))
    acts = expected <= 1
    assert found.coverage.value == pytest.approx(acts.mean())
    assert found.all_automated.expected == pytest.approx(1000 * expected.mean())
    assert found.all_automated.measured.value == pytest.approx(1000 * came.mean())
    assert found.by_policy.expected == pytest.approx(1000 * np.minimum(expected, 1).mean())
    assert found.by_policy.measured.value == pytest.approx(1000 * np.where(acts, came, 1).mean())
    assert found.by_policy.expected < min(found.all_automated.expected, found.all_reviewed)
    assert found.by_policy.measured.low < found.by_policy.expected < found.by_policy.measured.high
    assert (found.all_reviewed, found.currency, found.digest) == (1000, "EUR", COSTS.digest)


# Robustness, memorisation


def test_what_does_not_matter_may_be_damaged(case: Case) -> None:
    """The model reads `x` alone, which may not be missing."""
    found: Any = measure_of("robustness")(Robustness(noise=2.0, missing=0.5, max_rise=0.1), case)
    noise, missing = found.damaged
    assert noise.rise.low > 0.05
    assert (missing.rise.value, missing.rise.low) == (0, 0)
    assert noise.rise.value == pytest.approx(noise.error.value - case.errors.mean())


def test_a_missing_category_is_noticed_by_a_model_that_reads_it() -> None:
    rows = table()
    target = np.array([one == "a" for one in rows["kind"].to_pylist()], np.float32)
    case = case_of(rows, target, outputs=lambda tensors: (tensors["categories"] == 1).astype(np.float32))
    found: Any = measure_of("robustness")(Robustness(missing=0.4, max_rise=0.1), case)
    assert found.damaged[0].rise.value == pytest.approx(0.2, abs=0.03), "half of the emptied ones are an a"


def test_the_gap_of_a_model_that_knows_its_training_rows(case: Case) -> None:
    known = dict(zip(case.table["x"].to_numpy()[:TRAIN].astype(np.float32).tolist(), case.target_N, strict=False))

    def by_heart(tensors: Any) -> np.ndarray:
        return np.array([[known.get(x, 0.3)] for x in tensors["numbers"][:, 0].tolist()], np.float32)

    honest: Any = measure_of("memorisation")(Memorisation(max_gap=0.1), case)
    assert honest.gap.low < 0 < honest.gap.high
    found: Any = measure_of("memorisation")(
        Memorisation(max_gap=0.1), case_of(case.table, case.target_N, outputs=by_heart)
    )
    assert found.train_error == 0
    assert found.gap.low > 0.4


# Leaks


def leaks(case: Case) -> Any:
    return measure_of("leakage")(Leakage(max_feature=0.9), case)


def test_the_column_that_is_the_label_is_named(case: Case) -> None:
    honest = {one.column: one.explained for one in leaks(case).features}
    assert next(iter(honest)) == "x"
    assert honest["x"] < 0.8
    assert abs(honest["kind"]) < 0.1
    given_by_kind = case.table.set_column(2, "kind", pa.array(np.where(case.target_N > 0, "a", "b").tolist()))
    first = leaks(replace(case, table=given_by_kind)).features[0]
    assert (first.column, first.explained) == ("kind", 1.0)


def test_a_number_that_is_almost_the_label_is_named() -> None:
    rows = table()
    target = (rows["x"].to_numpy() * 3 + 5).astype(np.float32)
    case = case_of(rows, target, Regression())
    first = leaks(case).features[0]
    assert first.column == "x"
    assert first.explained > 0.95
