"""Several candidates on the same test days: together they are promoted falsely in one of twenty cases at most."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, t

from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.reuse import student
from tests.millrace.evaluation.gates.test_catalogue import DECLARED, report

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
