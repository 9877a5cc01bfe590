"""Days for windows, validation and test out of event times, and the margin to the live model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from millrace.console.new.spans import (
    CONFIDENCE,
    LEAST,
    LEAST_SHARE,
    NO_NAIVE,
    SHARE_PAIRED,
    STEPS,
    Naive,
    find_spans,
    margin,
)
from millrace.errors import ConfigurationError
from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.gates.non_inferiority import NonInferiority
from tests.console.new.conftest import Writer, proposed
from tests.console.new.test_trial import ROWS, hours
from tests.millrace.evaluation.gates.test_catalogue import report

START = np.datetime64("2020-01-01", "us")


def times(days: float, rows: int) -> np.ndarray:
    return START + (np.arange(rows) * (days * 86_400e6 / rows)).astype("timedelta64[us]")


@pytest.mark.parametrize(
    ("days", "rows", "window_days", "windows"),
    [
        (400, 40_000, 7, 57),
        (100, 40_000, 1, 100),
        (100, 2_000, 7, 14),
        (12, 6_000, 1, 12),
        (3_000, 3_000, 182, 16),
        (3_650, 365, 364, 10),
    ],
)
def test_a_window_is_a_week_where_there_are_rows_and_weeks_enough(
    days: int, rows: int, window_days: int, windows: int
) -> None:
    spans = find_spans(times(days, rows), where="rows.csv")
    assert (spans.window_days, spans.windows) == (window_days, windows)


@pytest.mark.parametrize(("days", "test_days"), [(12, 2), (30, 5), (60, 9)])
def test_days_enough_test_to_compare_a_later_model(days: int, test_days: int) -> None:
    spans = find_spans(times(days, 6_000), where="rows.csv")
    assert (spans.test_days, spans.are_comparable) == (test_days, test_days >= 5)


def test_a_crowded_end_is_left_to_train_on() -> None:
    """The last two of sixty days have six rows of ten; a fifth day would leave too few for the rest."""
    at = np.sort(np.concatenate([times(60, 4_000), START + np.timedelta64(58, "D") + (times(2, 6_000) - START)]))
    with pytest.raises(ConfigurationError, match="to train on"):
        find_spans(at, where="rows.csv")
    crowded = np.sort(np.concatenate([times(60, 7_000), START + np.timedelta64(56, "D") + (times(4, 3_000) - START)]))
    assert find_spans(crowded, where="rows.csv").test_days < 5


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


def passed(naive: Naive, *, margin: float, worse: float) -> float:
    """The share of comparisons that the gate passes."""
    rng = np.random.default_rng(7)
    # Successive rows, about as many on each day: the blocks of `millrace.evaluation.comparison`, which draws days too.
    bootstrap = Bootstrap(np.arange(naive.rows) * DAYS // naive.rows)
    gate = NonInferiority(recent_days=DAYS, margin=margin, confidence=CONFIDENCE)
    verdicts = []
    for _ in range(COMPARISONS):
        champion_N, challenger_N = wrong_answers(rng, naive.rows, error=naive.error, worse=worse)
        champion = {
            "rows": naive.rows,
            "error": champion_N.mean(),
            "challenger_error": challenger_N.mean(),
            "difference": (champion_N - challenger_N).mean(),
            "lower_bound": bootstrap.lower_bound(champion_N - challenger_N, confidence=CONFIDENCE),
        }
        verdicts.append(gate.judge(report("two classes", {"champion": champion})).passed)
    return float(np.mean(verdicts))


@pytest.mark.parametrize(("error", "rows"), [(0.32, 494), (0.2, 150), (0.45, 1_000)])
def test_a_model_as_good_as_the_live_one_mostly_passes(error: float, rows: int) -> None:
    naive = share(error, rows)
    assert passed(naive, margin=margin(naive), worse=0) >= 0.7
    assert passed(naive, margin=margin(naive), worse=2 * margin(naive)) == 0


def test_the_margin_is_never_smaller_than_with_rows_enough() -> None:
    rare, number = {"log_loss": 0.2, "deviation": 3.4}, Naive(lag_hours=None, error=3.0, is_share=False, rows=10**6)
    assert (margin(share(0.3, 10**6)), margin(number), margin(NO_NAIVE)) == (LEAST_SHARE, LEAST, LEAST_SHARE)
    assert margin(share(0.05, 10**6, **rare)) == LEAST
    assert margin(share(0.05, 500, **rare)) == 0.25
    assert margin(share(0.05, 500)) == LEAST_SHARE, "without a log loss a share is compared"
    assert margin(share(0.9, 200)) == margin(share(0.5, 200)), "a model of ten classes may err half of the time"
    assert margin(Naive(lag_hours=None, error=3.0, is_share=False, rows=20, deviation=9.0)) == STEPS[-1]


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
