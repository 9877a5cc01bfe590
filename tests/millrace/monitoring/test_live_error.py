"""The live error by few labels: intervals hold it though labels were chosen, and contradictions are seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from millrace.monitoring.error import error_bound
from millrace.monitoring.live_error import LiveError, choose, live_error, recalibrate

Floats = npt.NDArray[np.float64]
ROWS, MANY = 1000, 150
EACH = np.arange(ROWS)


def calibrated(random: np.random.Generator, rows: int = ROWS) -> tuple[Floats, Floats]:
    """What a model expects of each row, and the errors of a world in which it is right."""
    sure_N = random.beta(0.5, 0.5, rows)
    expected_N = np.minimum(sure_N, 1 - sure_N)
    return expected_N, (random.random(rows) < expected_N).astype(float)


def test_as_many_rows_as_wanted_are_chosen_each_with_its_chance() -> None:
    random = np.random.default_rng(0)
    expected_N, _ = calibrated(random, 48)
    chosen_DN = np.array([choose(expected_N, 10, random)[1] for _ in range(4000)])
    chance_N, _ = choose(expected_N, 10, random)
    assert (chosen_DN.sum(axis=1) == 10).all()
    assert chance_N.sum() == pytest.approx(10)
    assert np.abs(chosen_DN.mean(axis=0) - chance_N).max() < 0.04
    assert np.corrcoef(chance_N, expected_N)[0, 1] > 0.8


def test_a_model_that_is_sure_of_some_rows_lets_others_be_asked_for() -> None:
    expected_N = np.array([0.5, 0.5, *[0.0] * 46])
    chance_N, _ = choose(expected_N, 10, np.random.default_rng(0))
    assert (chance_N[:2] == 1).all()
    assert chance_N[2:] == pytest.approx(np.full(46, 8 / 46))


def asked(random: np.random.Generator, expected_N: Floats, error_N: Floats, many: int) -> tuple[Floats, Floats, Floats]:
    """The errors of rows that are asked for, what was expected of all, and their chances."""
    chance_N, chosen_N = choose(expected_N, many, random)
    return np.where(chosen_N, error_N, np.nan), expected_N, np.where(chosen_N, chance_N, 0.0)


def judged(world: str, run: int, many: int = MANY) -> tuple[LiveError | None, float]:
    random = np.random.default_rng(run)
    expected_N, error_N = calibrated(random)
    if world == "wrong where sure":
        error_N = np.where(expected_N < 0.1, random.random(ROWS) < 0.4, error_N).astype(float)
    return live_error(*asked(random, expected_N, error_N, many), EACH, is_share=True), float(error_N.mean())


@pytest.mark.parametrize("many", [MANY, 2 * MANY])
@pytest.mark.parametrize("world", ["as expected", "wrong where sure"])
def test_intervals_hold_the_error_though_labels_were_chosen(world: str, many: int) -> None:
    found = [judged(world, run, many) for run in range(400)]
    held = [one is not None and one.low <= truth <= one.high for one, truth in found]
    assert np.mean(held) >= 0.93
    estimates = np.array([one.error - truth for one, truth in found if one])
    assert abs(estimates.mean()) < 3 * estimates.std() / np.sqrt(len(estimates))


@pytest.mark.parametrize(("expected", "many"), [(0.03, 21), (0.03, 70), (0.01, 70)])
def test_intervals_hold_an_error_that_is_rare(expected: float, many: int) -> None:
    """Most sets of labels have no error at all: then no more is known than of as many tosses of a coin."""
    held = []
    for run in range(400):
        random = np.random.default_rng(run)
        expected_N = random.beta(1, 1 / expected - 1, ROWS)
        error_N = (random.random(ROWS) < expected_N).astype(float)
        found = live_error(*asked(random, expected_N, error_N, many), EACH, is_share=True)
        held.append(found is not None and found.low <= error_N.mean() <= found.high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize("answered", [3, 4, 5])
def test_intervals_hold_the_error_though_whole_days_have_no_answers(answered: int) -> None:
    """The rows of a day are alike, in what the model does not know."""
    held, day_N = [], np.repeat(np.arange(7), 48)
    for run in range(400):
        random = np.random.default_rng(run)
        error_N = (random.random(336) < random.beta(1, 2, 7)[day_N]).astype(float)
        chance_N, expected_N = np.zeros(336), np.full(336, 0.3)
        for day in range(7):
            chance_n, chosen_n = choose(expected_N[:48], 10, random)
            chance_N[day_N == day] = chance_n * chosen_n
        is_answered_N = (chance_N > 0) & np.isin(day_N, random.choice(7, answered, replace=False))
        found = live_error(np.where(is_answered_N, error_N, np.nan), expected_N, chance_N, day_N, is_share=True)
        held.append(found is not None and found.low <= error_N.mean() <= found.high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize("answered", [0.4, 0.95])
def test_intervals_hold_the_error_though_some_of_every_row_that_was_asked_for_have_no_answer(answered: float) -> None:
    """Each row is chosen for certain, as in a window above its bound: only the answers are a sample then."""
    held, day_N = [], np.repeat(np.arange(4), 10)
    for run in range(400):
        random = np.random.default_rng(run)
        expected_N, error_N = calibrated(random, 40)
        is_answered_N = random.random(40) < answered
        known_N = np.where(is_answered_N, error_N, np.nan)
        found = live_error(known_N, expected_N, np.ones(40), day_N, is_share=True)
        held.append(found is None or found.low <= error_N.mean() <= found.high)
    assert np.mean(held) >= 0.93


def test_without_the_chances_the_same_labels_mislead() -> None:
    """Rows were chosen where the model is unsure: taken for a plain sample they show twice the error."""
    random = np.random.default_rng(1)
    expected_N, error_N = calibrated(random)
    known_N, *_ = asked(random, expected_N, error_N, MANY)
    assert np.nanmean(known_N) > 1.5 * error_N.mean()
    plain = live_error(known_N, np.zeros(ROWS), None, EACH, is_share=True)
    assert plain is not None
    assert plain.low > error_N.mean()


def test_too_few_labels_say_nothing() -> None:
    error_N = np.full(100, np.nan)
    error_N[:9] = 0.0
    assert live_error(error_N, np.zeros(100), None, np.arange(100), is_share=True) is None
    assert live_error(np.full(100, np.nan), np.zeros(100), None, np.arange(100), is_share=True) is None
    error_N[9] = 0.0
    found = live_error(error_N, np.zeros(100), None, np.arange(100), is_share=True)
    assert found is not None
    assert found.low == 0
    assert found.high > 0.2, "ten labels without an error prove no model right"


def test_labels_of_one_stretch_do_not_stand_for_the_window() -> None:
    error_N, day_N = np.full(70, np.nan), np.repeat(np.arange(7), 10)
    error_N[day_N == 0] = 0.0
    assert live_error(error_N, np.zeros(70), None, day_N, is_share=True) is None
    error_N[day_N == 1] = 1.0
    found = live_error(error_N, np.zeros(70), None, day_N, is_share=True)
    assert found is not None
    assert found.low <= 0.2
    assert found.high >= 0.8, "the days differ from each other by all there is"


def test_what_is_known_of_a_share_bounds_its_interval() -> None:
    """Of 100 rows two have no label: they are at most two errors more."""
    error_N = np.tile([0.0, 1.0], 50)
    error_N[:2] = np.nan
    found = live_error(error_N, np.zeros(100), None, np.arange(100), is_share=True)
    assert found is not None
    assert 0.49 <= found.low < found.error < found.high <= 0.51


def test_expectations_follow_the_errors_that_came() -> None:
    """A model that is wrong twice as often as it says, whatever it says."""
    before = np.linspace(0, 0.4, 50)
    found = recalibrate(np.array([0.1]), errors_M=before + 0.2, before_M=before, weights_M=np.ones(50))
    assert found == pytest.approx([0.3])
    against = recalibrate(np.array([0.1]), errors_M=0.5 - before, before_M=before, weights_M=np.ones(50))
    assert against == pytest.approx([0.3]), "one that is surer where it is wrong says nothing"


def test_a_bound_for_few_labels_is_that_of_windows_with_few_labels() -> None:
    random = np.random.default_rng(0)
    history = (0.2 + 0.02 * random.standard_normal(60)).tolist()
    bound = error_bound([history], windows=3, rate=0.01)
    assert bound is not None

    def row(deviation: float) -> list[LiveError]:
        return [LiveError(error=0.2, low=0.1, high=0.3, deviation=deviation, rows=70)] * 3

    assert bound.of_row(row(0.0)) == bound.bound
    few = bound.of_row(row(0.06))
    assert few is not None
    drawn = np.array(history)[:, None] + 0.06 * random.standard_normal((60, 2000))
    lowest = np.minimum(np.minimum(drawn[:-2], drawn[1:-1]), drawn[2:])
    assert np.mean(lowest > few) < 0.01
    assert few < 0.2 + 0.02 + 2.3 * 0.06, "the lowest of three strays less than one"
