"""The page of a simulation has a line for each policy, and a dot for each retraining."""

from __future__ import annotations

import re

import numpy as np

from console.pages.simulated import simulated_page
from millrace.simulation.history import LivedHistory
from millrace.simulation.proposal import compare
from millrace.simulation.simulation import Terms

DAYS = 40


def test_each_policy_has_a_line_and_each_retraining_a_dot() -> None:
    """A version has an error a day more for each day of its age."""
    aging = [[max(day - version, 0) for day in range(DAYS)] for version in range(DAYS)]
    history = LivedHistory(
        first="2026-01-01", step_days=1, test_days=1, train_days=(None,), rows_D=np.full(DAYS, 50.0),
        errors_KVD=np.array([aging], float), costs_KVD=None, seconds=1.0,
    )  # fmt: skip
    found = compare(history, Terms(usd_per_error=1, usd_per_training=20))
    html = simulated_page("<shop>", found, usd_per_training=20, lines="retraining:\n  alarms: [error]")
    assert html.count("<polyline") == len(found.rows)
    trained = sum(len(row.course.retrainings) for row in found.rows)
    assert trained
    days = re.findall(r"retraining of (\S+)</title>", html)
    assert len(days) == trained
    assert min(days) > found.judged_from
    assert max(days) <= "2026-02-09"
    assert "alarms: [error]" in html
    assert "<shop>" not in html
