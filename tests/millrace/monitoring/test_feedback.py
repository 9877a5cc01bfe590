"""What acting does to the data, by decisions that were held out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from millrace.decisions.outcome_columns import Outcomes
from millrace.decisions.record import Decision
from millrace.monitoring.feedback import feedback
from tests import builders
from tests.outcomes import outcomes_of

Given = list[tuple[Decision, int]]
AT = datetime(1997, 5, 1, tzinfo=UTC)
DECISION = builders.decision(id="r-0", event_time=AT, output={"value": 1, "confidence": 0.95}, latency_ms=1.0)


def outcomes(rows: int, rate: float, seed: int, *, held: bool, confidence: float = 0.95) -> Given:
    """Answers 1, of which `rate` have the label 1."""
    ones = np.random.default_rng(seed).random(rows) < rate
    output = {"value": 1, "confidence": confidence}
    decision = replace(DECISION, output=output, action="review", reason="held_out") if held else DECISION
    return [(decision, int(one)) for one in ones]


def together(*parts: Given) -> Outcomes:
    every = [one for part in parts for one in part]
    decisions, labels = [decision for decision, _ in every], [label for _, label in every]
    return outcomes_of(decisions, labels, [float(not label) for label in labels])


def test_the_interval_holds_the_difference_that_acting_has_made() -> None:
    covered = 0
    for seed in range(1000):
        held = outcomes(200, 0.6, 2 * seed, held=True)
        found = feedback(together(held, outcomes(800, 0.8, 2 * seed + 1, held=False)))
        assert found is not None
        (share,) = [one for one in found.figures if one.name == "share of 1"]
        covered += share.low <= 0.2 <= share.high
    assert 930 <= covered <= 975


def test_what_was_held_out_and_would_not_have_acted_does_not_count() -> None:
    unsure = outcomes(200, 0.5, 1, held=True, confidence=0.6)
    found = feedback(together(outcomes(100, 0.9, 2, held=True), unsure, outcomes(300, 0.9, 3, held=False)))
    assert found is not None
    assert (found.held_out, found.acted) == (100, 300)
    assert all(one.low < 0 < one.high for one in found.figures)


def test_with_few_labels_nothing_is_said() -> None:
    assert feedback(together(outcomes(19, 0.5, 1, held=True), outcomes(300, 0.5, 2, held=False))) is None


def test_a_share_of_none_is_not_certain() -> None:
    found = feedback(together(outcomes(50, 1, 1, held=True), outcomes(50, 1, 2, held=False)))
    assert found is not None
    assert all(one.low < 0 < one.high for one in found.figures)
