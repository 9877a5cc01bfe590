"""Mistakes and what came by what was answered, against plain counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Contract, Table
from millrace.datasets.examples import LABEL, examples
from millrace.evaluation.evidence import TruthByAnswer
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.evaluation.sample import Sample, read_sample, write_sample
from millrace.features import catalogue
from millrace.jobs.evaluation.details import (
    FEWEST_ROWS,
    MOST_BINS,
    MOST_MISTAKES,
    cut_answers,
    find_mistakes,
    truth_by_answer,
)
from millrace.jobs.evaluation.job import SAMPLE_ROWS, sampled
from millrace.jobs.evaluation.rows import SplitRows, divided_entity
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.interval import Interval
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
from millrace.workload.declaration import Workload
from tests.entities import made_up
from tests.millrace.evaluation.test_next_step import DECLARED, REPORT
from tests.shipped import WORKLOADS

RNG = np.random.default_rng(0)


def found(task: Any, output_TW: Any, target_T: Any) -> tuple[TruthByAnswer, ...]:
    case: Any = SimpleNamespace(task=task, output_TW=output_TW, test_targets=target_T)
    return truth_by_answer(case)


def test_a_number_has_bins_of_equally_many_rows_by_rising_answers() -> None:
    answer_T = RNG.normal(100, 20, 1200).astype(np.float32)
    target_T = (answer_T + 7 + RNG.normal(0, 5, 1200)).astype(np.float32)
    (one,) = found(Regression(), answer_T[:, None], target_T)
    assert (one.name, one.quantiles) == ("", (0.1, 0.9))
    assert [each.rows for each in one.bins] == [1200 // MOST_BINS] * MOST_BINS
    order = np.argsort(answer_T)
    first = order[:100]
    assert one.bins[0].value == pytest.approx(np.median(answer_T[first]))
    assert one.bins[0].truth == pytest.approx(np.median(target_T[first]))
    assert one.bins[-1].truth_high == pytest.approx(np.quantile(target_T[order[-100:]], 0.9))
    # Answers that are seven too low are seen to be.
    assert all(each.truth - each.value == pytest.approx(7, abs=3) for each in one.bins)
    assert (one.bins[0].lower, one.bins[0].upper) == (None, None)


def test_answers_at_a_bound_of_the_contract_are_counted_beside_the_labels_there() -> None:
    answer_T, target_T = np.maximum(RNG.normal(1, 1, 1000), 0).astype(np.float32), RNG.exponential(1, 1000)
    label = Column(name="price", kind="float64", rules=(Range(minimum=0.0, maximum=9.0),))
    case: Any = SimpleNamespace(task=Regression(), output_TW=answer_T[:, None], test_targets=target_T)
    (cut,) = cut_answers(case, label)
    assert (cut.bound, cut.is_lower, cut.label_share) == (0, True, 0)
    assert cut.share == (answer_T == 0).mean() > 0.1
    report = Evaluation.model_validate(REPORT | {"cut_answers": [cut.model_dump()]})
    [verdict] = [one for one in judge_all(report, DECLARED.gates, against="baseline") if one.name == "cut_answers"]
    assert (verdict.passed, verdict.is_warning, verdict.measured) == (True, True, cut.share)
    case.test_targets = answer_T  # as many labels stand there
    assert cut_answers(case, label) == ()


def test_an_interval_is_held_against_its_own_quantiles() -> None:
    middle_T = RNG.normal(0, 10, 2000)
    output_TW = np.column_stack([middle_T - 1.2816, middle_T, middle_T + 1.2816]).astype(np.float32)
    (one,) = found(Interval(quantiles=(0.2, 0.8)), output_TW, middle_T + RNG.normal(0, 1, 2000))
    assert one.quantiles == (0.2, 0.8)
    for each in one.bins:
        assert each.lower is not None
        assert each.upper is not None
        assert (each.value - each.lower, each.upper - each.value) == pytest.approx((1.2816, 1.2816), rel=0.2)


def test_a_forecast_has_its_first_its_middle_and_its_last_horizon() -> None:
    task = Forecast(quantiles=(0.1, 0.9), horizons_hours=(1.0, 2.0, 3.0, 24.0))
    target_TP = np.arange(400.0)[:, None] + np.array([0, 100, 200, 300])
    output_TW = np.repeat(target_TP, 3, axis=1).astype(np.float32)
    parts = found(task, output_TW, target_TP)
    assert [one.name for one in parts] == ["1 h", "3 h", "24 h"]
    assert [one.bins[0].truth for one in parts] == [16.5, 216.5, 316.5]
    two = Forecast(quantiles=(0.1, 0.9), horizons_hours=(1.0, 2.0))
    assert [one.name for one in found(two, output_TW[:, :6], target_TP[:, :2])] == ["1 h", "2 h"]


def test_few_rows_have_few_bins_and_rows_without_a_number_none() -> None:
    rows = 2 * FEWEST_ROWS + 5
    answer_T = np.arange(rows, dtype=np.float32)
    target_T = answer_T.copy()
    assert [one.rows for one in found(Regression(), answer_T[:, None], target_T)[0].bins] == [23, 22]
    target_T[:6] = np.nan
    assert [one.rows for one in found(Regression(), answer_T[:, None], target_T)[0].bins] == [39]
    assert found(Regression(), answer_T[:19, None], answer_T[:19]) == ()


def case(task: Any, output_TW: Any, target_T: Any) -> Any:
    return SimpleNamespace(task=task, output_TW=output_TW, test_targets=target_T)


def test_of_several_classes_the_most_frequent_pairs_are_named() -> None:
    words = tuple("abcdefg")
    target_T = RNG.integers(0, 7, 3000)
    output_TW = RNG.random((3000, 7)).astype(np.float32)
    output_TW[np.arange(3000), target_T] += 0.5
    output_TW[target_T == 2, 4] += 0.7
    kinds = find_mistakes(case(Multiclass(classes=words), output_TW, target_T))
    answered = [words[place] for place in output_TW.argmax(axis=1)]
    counts = Counter((words[true], said) for true, said in zip(target_T, answered, strict=True) if words[true] != said)
    assert [one.rows for one in kinds] == [rows for _, rows in counts.most_common(MOST_MISTAKES)]
    assert all(counts[one.truth, one.answered] == one.rows for one in kinds)
    assert (kinds[0].truth, kinds[0].answered) == ("c", "e")
    assert kinds[0].of == int((target_T == 2).sum())


def test_of_two_classes_the_threshold_counts() -> None:
    output_TW = np.array([[0.4], [0.4], [0.2], [0.9]], np.float32)
    target_T = np.array([1, 0, 1, 0], np.float32)
    kinds = find_mistakes(case(Binary(positive="yes", threshold=0.3), output_TW, target_T))
    assert {(one.truth, one.answered, one.rows, one.of) for one in kinds} == {
        ("not yes", "yes", 2, 2),
        ("yes", "not yes", 1, 2),
    }


HASH = {"by": "key_hash", "validation_share": 0.2, "test_share": 0.2}


@pytest.mark.parametrize(
    ("split", "planted", "expected"),
    [
        (HASH, True, ("subject",)),
        (HASH, False, None),
        ({"by": "group", "column": "subject"}, True, None),
        ({"by": "time"}, True, ("subject",)),
    ],
)
def test_an_entity_that_the_split_divides_is_found(
    split: dict[str, Any], planted: bool, expected: tuple[str, ...] | None
) -> None:
    rows, label = made_up(2, planted=planted)
    start = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
    times = pa.array([start + timedelta(hours=hour) for hour in range(rows.num_rows)], pa.timestamp("us"))
    rows = rows.append_column("at", times).append_column("row", pa.array(np.arange(rows.num_rows)))
    rows = rows.append_column("outcome", pa.array(label))
    document = yaml.safe_load((WORKLOADS / "electricity" / "workload.yaml").read_text())
    readings = [name for name in rows.column_names if name.startswith("reading")]
    document["prediction"] = {
        "task": "regression", "label": "outcome", "key": ["row"], "event_time": "at", "features": readings
    }  # fmt: skip
    days = {"validation_days": 20, "test_days": 20} if split["by"] == "time" else {"validation_days": 0, "test_days": 0}
    document["training"] |= {"split": split, "train_days": None, "walk_forward_steps": 0, **days}
    workload = Workload.model_validate(document)
    kinds = {"subject": "string" if pa.types.is_string(rows["subject"].type) else "int64", "at": "timestamp"}
    columns = tuple(Column(name=name, kind=kinds.get(name, "float64"), required=True) for name in rows.column_names)
    table = Table(name="rows", columns=columns, keys=(("row",),))
    found = examples(rows, workload=workload, features=catalogue.declare(workload.prediction.features, table))
    judged = SplitRows(
        table=found.table, times_N=found.times_N, target_N=found.table[LABEL].to_numpy(), parts=found.parts
    )
    contract = Contract(rows=table, labels=table, digest="")
    entity = divided_entity(judged, workload, contract)
    assert (entity.columns if entity else None) == expected


def model(*columns: str, task: Any = Binary()) -> Any:  # noqa: B008  (frozen)
    return SimpleNamespace(inputs=columns, task=task)


def sample_of(test: pa.Table, described: Any, output_TW: Any) -> Sample:
    return read_sample(write_sample(sampled(test, (), described, output_TW)))


@pytest.mark.parametrize("count", [1, 5, SAMPLE_ROWS, 1344])
def test_rows_and_answers_belong_together(count):
    test = pa.table({"class": [0] * count, "b": np.arange(count) / 7, "a": np.arange(count)})
    p_T = (np.arange(count) / count).astype(np.float32)
    sample = sample_of(test, model("a", "b"), p_T[:, None])
    assert len(sample.rows) == len(sample.answers) == min(SAMPLE_ROWS, count)
    assert [one["probability"] for one in sample.answers] == [float(p_T[row["a"]]) for row in sample.rows]
    assert (sample.rows[0]["a"], sample.rows[-1]["a"]) == (0, count - 1)
    assert all(list(row) == ["a", "b"] for row in sample.rows)


def test_a_class_is_named_and_a_time_is_text():
    test = pa.table({"at": pa.array([0], pa.timestamp("us")), "raw": [b"\x01\xff"]})
    task = Multiclass(classes=("low", "high", "none"))
    sample = sample_of(test, model("at", "raw", task=task), np.array([[0.1, 0.7, 0.2]], np.float32))
    assert sample.rows == ({"at": "1970-01-01T00:00:00", "raw": "Af8="},)
    assert sample.answers == ({"value": "high", "confidence": pytest.approx(0.7)},)


def test_an_answer_that_is_no_number_is_null():
    sample = sample_of(pa.table({"a": [1.0]}), model("a"), np.array([[np.nan]], np.float32))
    assert sample.answers == ({"value": 0, "probability": None, "confidence": None},)


def test_a_cell_that_is_no_number_is_refused():
    test = pa.table({"a": [float("nan")]})
    with pytest.raises(ValueError, match="JSON"):
        sample_of(test, model("a"), np.zeros((1, 1), np.float32))
