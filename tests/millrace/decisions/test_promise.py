"""A promised error is kept while the stream changes, and nothing acts where no answer is good enough."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.decisions.promise import LEAST, MOST, Labelled, follow

PROMISED = 0.05
DAY = 48
Floats = npt.NDArray[np.float64]


def labelled(confidence: float, *, acted: bool, error: float) -> Labelled:
    return Labelled(confidence=confidence, acted=acted, error=error)


def lived(worse_N: Floats, *, seed: int, start: float | None) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which answers acted, and which were wrong, on a stream whose answers are so much worse, in log-odds, than they
    say. A day's labels arrive at the end of the next day."""
    generator = np.random.default_rng(seed)
    odds = np.abs(generator.normal(0, 2.5, len(worse_N)))
    wrong = generator.random(len(odds)) < 1 / (1 + np.exp(odds - worse_N))
    confidence = 1 / (1 + np.exp(-odds))
    acted, threshold = np.zeros(len(odds), dtype=bool), start
    for day in range(0, len(odds), DAY):
        acted[day : day + DAY] = threshold is not None and confidence[day : day + DAY] >= (threshold or 0)
        known = range(max(day - DAY, 0), day)
        batch = [labelled(float(confidence[n]), acted=bool(acted[n]), error=float(wrong[n])) for n in known]
        threshold = follow(threshold, batch, promised=PROMISED)
    return acted, wrong.astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_the_promise_is_kept_while_the_stream_changes(seed: int) -> None:
    seasons = 0.5 * np.sin(np.arange(40_000) / 2_880)
    acted, wrong = lived(seasons, seed=seed, start=0.95)
    assert abs(wrong[acted].mean() - PROMISED) < 0.005
    late, still_wrong = lived(seasons, seed=seed, start=None)
    assert late.mean() > 0.6 * acted.mean()
    assert abs(still_wrong[late].mean() - PROMISED) < 0.008


@given(
    st.none() | st.floats(LEAST, MOST),
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 1.0])), max_size=60),
)
def test_it_stays_within_its_bounds(start: float | None, rows: list[tuple[float, bool, float]]) -> None:
    batch = [labelled(confidence, acted=acted, error=error) for confidence, acted, error in rows]
    found = follow(start, batch, promised=PROMISED)
    if not rows:
        assert found == start
    else:
        assert found is not None
        assert LEAST - 1e-9 <= found <= MOST + 1e-9
