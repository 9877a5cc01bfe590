"""What random rows hide is measured: an entity by one column or two, and an order of the rows."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom, t

from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.hidden import find_entity, find_order
from millrace.evaluation.reuse import student
from tests.entities import NAME, OTHER, SHAPES, made_up
from tests.millrace.evaluation.gates.test_catalogue import DECLARED, report

ROWS = 1600


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("planted", [True, False])
def test_a_planted_entity_is_found_and_no_other(seed: int, planted: bool) -> None:
    """Sixty such tables are the benchmark `entities`."""
    rows, label = made_up(seed, planted=planted)
    inputs = [name for name in rows.column_names if name != NAME]
    found = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
    assert (found.columns if found else ()) == ((NAME,) if planted else ())


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_an_entity_is_found_however_it_is_named(shape: str) -> None:
    rows, label = made_up(1, planted=True, shape=shape)
    inputs = [name for name in rows.column_names if name != NAME]
    found = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
    assert found is not None
    assert {*found.columns} <= {NAME, OTHER}
    assert found.pieces == {"the beginning of a code": 1, "a folder of a path": 2}.get(shape, 0)


def patients(*, in_time: bool = False) -> tuple[pa.Table, np.ndarray]:
    """A clinic's number and a patient's number in it name a patient; `in_time` all rows of one are neighbours."""
    random, patient = np.random.default_rng(0), np.repeat(np.arange(160), 10)
    order = np.arange(ROWS) if in_time else random.permutation(ROWS)
    readings = random.normal(0, 1, (160, 4))[patient] + random.normal(0, 0.1, (ROWS, 4))
    columns = {"clinic": [f"c{one}" for one in patient // 20], "number": patient % 20}
    table = pa.table(columns | {f"r{place}": readings[:, place] for place in range(4)} | {"name": patient * 7})
    return table.take(pa.array(order)), random.integers(0, 2, 160)[patient][order]


@pytest.mark.parametrize(
    ("names", "in_time", "expected"),
    [
        (["clinic", "number"], False, ("clinic", "number")),
        (["clinic", "number", "name"], False, ("name",)),
        (["name"], True, ()),
    ],
    ids=["by two columns", "by one if there is one", "not where later rows are of others anyway"],
)
def test_an_entity_is_named_by_the_fewest_columns(names: list[str], in_time: bool, expected: tuple[str, ...]) -> None:
    rows, label = patients(in_time=in_time)
    inputs = [f"r{place}" for place in range(4)]
    found = find_entity(rows, label, inputs=inputs, candidates=names, is_in_time=in_time)
    assert (found.columns if found else ()) == expected


def test_a_few_large_entities_hide_no_other() -> None:
    """Ten years of each state, of which a few sell far more than all others: the mean of their errors is theirs."""
    random, state = np.random.default_rng(0), np.repeat(np.arange(150), 10)
    level = random.lognormal(0, 1.5, 150)
    rows = pa.table({"state": state, "people": level[state] * random.lognormal(0, 0.02, state.size)})
    label = (level * random.lognormal(0, 0.5, 150))[state] * random.lognormal(0, 0.05, state.size)
    found = find_entity(rows, label, inputs=["people"], candidates=["state"], is_in_time=False)
    assert found is not None
    assert found.columns == ("state",)


@pytest.mark.parametrize("is_in_order", [True, False])
def test_neighbours_that_are_alike_are_an_order(is_in_order: bool) -> None:
    random = np.random.default_rng(0)
    level = np.cumsum(random.normal(0, 1, ROWS))
    rows = pa.table({"a": level + random.normal(0, 0.3, ROWS), "b": np.cumsum(random.normal(0, 1, ROWS))})
    label = np.cumsum(random.normal(0, 1, ROWS))
    order = np.arange(ROWS) if is_in_order else random.permutation(ROWS)
    found = find_order(rows.take(pa.array(order)), label[order], inputs=["a", "b"])
    assert (found is not None) is is_in_order


def test_an_entity_on_both_sides_is_a_warning_that_names_the_split() -> None:
    rows, label = made_up(0, planted=True)
    found = find_entity(rows, label, inputs=rows.column_names[1:], candidates=[NAME], is_in_time=False)
    assert found is not None
    plain = judge_all(report(), DECLARED, against="baseline")
    *others, last = judge_all(report(changes={"entity": found.model_dump()}), DECLARED, against="baseline")
    assert tuple(others) == plain
    assert (last.name, last.passed, last.is_warning, last.measured) == ("split", True, True, found.apart)
    assert "{by: group, column: subject}" in last.sentence


DAYS, MARGIN, RISK = 28, 0.02, 0.05
CASES, MOST = 400, 10
assert DECLARED.non_inferiority.margin == MARGIN


def promoted_falsely(*, are_counted: bool, alike: float) -> int:
    """In how many cases one of MOST candidates is let through, each worse than the champion by the whole margin.

    `alike` is the part of a day's noise that all candidates of a case have in common."""
    rng, bootstrap = np.random.default_rng(7), Bootstrap(np.arange(DAYS))
    gate = DECLARED.non_inferiority
    found = 0
    for _ in range(CASES):
        common = rng.normal(size=DAYS) * math.sqrt(alike)
        for number in range(1, MOST + 1):
            better_D = -MARGIN + 0.03 * (common + rng.normal(size=DAYS) * math.sqrt(1 - alike))
            bound = bootstrap.lower_bound(better_D, confidence=gate.confidence)
            compared = {"difference": float(better_D.mean()), "lower_bound": bound, "blocks": DAYS}
            seen = report(changes={"champion": compared})
            if are_counted:
                verdicts = judge_all(seen, DECLARED, against="non_inferiority", candidates=number)
                (verdict,) = [one for one in verdicts if one.name == "non_inferiority"]
            else:
                verdict = gate.judge(seen)
            if verdict.passed:
                found += 1
                break
    return found


@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_many_candidates_on_the_same_days_are_promoted_falsely_in_one_of_twenty_cases(alike: float) -> None:
    # With a true rate of 5 % one of a thousand such simulations finds more.
    assert promoted_falsely(are_counted=True, alike=alike) <= binom.ppf(0.999, CASES, RISK)


def test_without_the_count_a_third_of_the_cases_are_promoted_falsely() -> None:
    assert promoted_falsely(are_counted=False, alike=0.0) > CASES / 3


@pytest.mark.parametrize("freedom", [9, 27, 199])
@pytest.mark.parametrize("risk", [RISK / 2, RISK / 110, RISK / 420])
def test_student_is_as_scipy_has_it(freedom: int, risk: float) -> None:
    assert student(1 - risk, freedom) == pytest.approx(t.ppf(1 - risk, freedom), rel=0.02)


def test_a_good_candidate_passes_as_the_first_and_not_as_the_tenth_on_the_same_days() -> None:
    seen = report(changes={"champion": {"difference": 0.02, "lower_bound": -0.005, "blocks": DAYS}})
    for number, passes in ((1, True), (10, False)):
        verdicts = judge_all(seen, DECLARED, against="non_inferiority", candidates=number)
        (verdict,) = [one for one in verdicts if one.name == "non_inferiority"]
        assert verdict.passed is passes
        assert f"candidate {number} on these days" in verdict.sentence


def test_the_lower_end_of_the_value_moves_with_the_count_and_a_first_model_is_compared_with_none() -> None:
    value = DECLARED.value
    assert value is not None
    strict = DECLARED.model_copy(update={"value": value.model_copy(update={"refuse": "unless_certain"})})
    close = {"gain": {"value": 1000.0, "low": 400.0, "high": 1600.0}}
    seen = report(changes={"value": close, "champion": {"blocks": DAYS}})
    for against, number, passes in (("non_inferiority", 1, True), ("non_inferiority", 9, False), ("baseline", 9, True)):
        verdicts = judge_all(seen, strict, against=against, candidates=number)  # type: ignore[arg-type]
        assert next(one.passed for one in verdicts if one.name == "value") is passes


def test_a_single_test_day_is_no_bound_and_refuses() -> None:
    one_day = {"difference": 0.2, "lower_bound": 0.1, "blocks": 1}
    verdicts = judge_all(report(changes={"champion": one_day}), DECLARED, against="non_inferiority", candidates=1)
    (verdict,) = [one for one in verdicts if one.name == "non_inferiority"]
    assert (verdict.passed, math.isnan(verdict.measured)) == (False, True)
