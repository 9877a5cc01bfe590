"""What people read of a workload's automation."""

from __future__ import annotations

import pytest

from console.queries.live import Automates
from millrace.state.automation import Automation
from millrace.workload.policy import Automate, Costs, Policy

COSTS = Policy(automate=Automate(costs=Costs(false_positive=5, false_negative=40, review=2.5, currency="EUR")))


@pytest.mark.parametrize(
    ("is_live", "threshold", "words"),
    [
        (True, 2.5, "up to an expected cost of 2.5 EUR"),
        (False, None, "nothing: no version is live yet"),
        (True, None, "nothing: the live version was evaluated with other costs"),
    ],
)
def test_with_costs_an_amount_is_told(is_live: bool, threshold: float | None, words: str) -> None:
    found = Automates(policy=COSTS, threshold=threshold, is_live=is_live, switch=Automation(), floor=None)
    assert found.words == words
