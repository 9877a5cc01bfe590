"""The margin to the live model that is proposed: models as good as it mostly pass, models much worse do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from console.new.spans import (
    CONFIDENCE,
    LEAST,
    LEAST_SHARE,
    NO_NAIVE,
    PAIRED,
    SHARE_PAIRED,
    STEPS,
    Naive,
    least,
    margin,
)
from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.gates.non_inferiority import NonInferiority
from tests.console.new.conftest import proposed
from tests.console.new.test_rehearsal import ROWS, hours
from tests.millrace.evaluation.gates.test_catalogue import report

Writer = Callable[..., Path]
COMPARISONS = 200
DAYS = 29


def share(error: float, rows: int, **fields: Any) -> Naive:
    return Naive(lag_hours=None, error=error, is_share=True, rows=rows, **fields)


def wrong_answers(rng: np.random.Generator, rows: int, *, error: float, worse: float) -> tuple[Any, Any]:
    """The errors (rows) of a champion and of a challenger that is wrong more often by `worse`.

    Their differences have the variance SHARE_PAIRED · p(1 − p), if the two are equally good."""
    alone = SHARE_PAIRED * error * (1 - error) / 2  # so often only one of the two is wrong
    draw_N = rng.random(rows)
    champion_N = draw_N < error
    challenger_N = (draw_N >= alone) & (draw_N < error + alone + worse)
    return champion_N.astype(float), challenger_N.astype(float)


def amounts(rng: np.random.Generator, rows: int, *, error: float, worse: float) -> tuple[Any, Any]:
    """The same for amounts: the errors vary as much as their mean, and `worse` is a share of the champion's error."""
    champion_N = rng.exponential(error, rows)
    return champion_N, champion_N + rng.normal(error * worse, error * PAIRED**0.5, rows)


def passed(draw: Callable[..., tuple[Any, Any]], naive: Naive, *, margin: float, worse: float) -> float:
    """The share of comparisons that the gate passes."""
    rng = np.random.default_rng(7)
    # Successive rows, about as many on each day: the blocks of `millrace.evaluation.comparison`, which draws days too.
    bootstrap = Bootstrap(np.arange(naive.rows) * DAYS // naive.rows)
    gate = NonInferiority(recent_days=DAYS, margin=margin, confidence=CONFIDENCE)
    verdicts = []
    for _ in range(COMPARISONS):
        champion_N, challenger_N = draw(rng, naive.rows, error=naive.error, worse=worse)
        champion = {
            "rows": naive.rows,
            "error": champion_N.mean(),
            "challenger_error": challenger_N.mean(),
            "difference": (champion_N - challenger_N).mean(),
            "lower_bound": bootstrap.lower_bound(champion_N - challenger_N, confidence=CONFIDENCE),
        }
        of_kind = report("two classes" if naive.is_share else "number", {"champion": champion})
        verdicts.append(gate.judge(of_kind).passed)
    return float(np.mean(verdicts))


@pytest.mark.parametrize(("error", "rows"), [(0.32, 494), (0.2, 150), (0.45, 1_000)])
def test_a_model_as_good_as_the_live_one_mostly_passes(error: float, rows: int) -> None:
    naive = share(error, rows)
    assert passed(wrong_answers, naive, margin=margin(naive), worse=0) >= 0.7
    assert passed(wrong_answers, naive, margin=margin(naive), worse=2 * margin(naive)) == 0


def test_a_small_margin_on_few_rows_refuses_most_models_that_are_as_good() -> None:
    assert passed(wrong_answers, share(0.32, 494), margin=LEAST_SHARE, worse=0) < 0.4


@pytest.mark.parametrize("rows", [150, 600])
def test_a_model_of_a_number_is_judged_alike(rows: int) -> None:
    naive = Naive(lag_hours=None, error=20.0, is_share=False, rows=rows, deviation=1.0)
    assert passed(amounts, naive, margin=margin(naive), worse=0) >= 0.7
    assert passed(amounts, naive, margin=margin(naive), worse=2 * margin(naive)) == 0


def test_the_margin_is_never_smaller_than_with_rows_enough() -> None:
    rare, number = {"log_loss": 0.2, "deviation": 3.4}, Naive(lag_hours=None, error=3.0, is_share=False, rows=10**6)
    assert (margin(share(0.3, 10**6)), margin(number), margin(NO_NAIVE)) == (LEAST_SHARE, LEAST, LEAST_SHARE)
    assert margin(share(0.05, 10**6, **rare)) == LEAST
    assert margin(share(0.05, 500, **rare)) == 0.25
    assert margin(share(0.05, 500)) == LEAST_SHARE, "without a log loss a share is compared"
    assert margin(share(0.9, 200)) == margin(share(0.5, 200)), "a model of ten classes may err half of the time"
    assert margin(Naive(lag_hours=None, error=3.0, is_share=False, rows=20, deviation=9.0)) == STEPS[-1]


def test_a_proposal_says_why_its_margin_is_wide(as_csv: Writer) -> None:
    rng = np.random.default_rng(2)
    coins, sizes = rng.random(ROWS) < 0.4, rng.lognormal(3, 1, ROWS).round(2)
    for label, smallest in ((lambda at: int(coins[at]), LEAST_SHARE), (lambda at: float(sizes[at]), LEAST)):
        found = proposed(as_csv(hours(label)), label="label")
        tested = found.rehearsal.rows[2]
        assert found.naive.rows == tested
        written = yaml.safe_load(found.workload_yaml)["gates"]["non_inferiority"]
        assert written["margin"] == margin(found.naive) > least(found.naive) == smallest
        assert f"on {tested} test rows a smaller margin often refuses a model that is as good" in found.workload_yaml


def test_the_spread_of_the_rule_is_that_of_the_figure_that_is_compared(as_csv: Writer) -> None:
    rng = np.random.default_rng(3)
    sizes, rare = rng.exponential(20, ROWS).round(3), rng.random(ROWS) < 0.06
    # The absolute distance of an exponential variable from its median: deviation 0.72 of the scale, mean 0.69.
    assert proposed(as_csv(hours(lambda at: float(sizes[at]))), label="label").naive.deviation == pytest.approx(
        1.04, abs=0.2
    )
    found = proposed(as_csv(hours(lambda at: int(rare[at]))), label="label").naive
    p = found.error
    assert found.has_rare_class
    # The log loss has two values, log(1/p) in p of the rows and nearly 0 in the others.
    assert found.deviation == pytest.approx(np.sqrt(p * (1 - p)) * np.log((1 - p) / p) / found.log_loss, rel=0.15)
