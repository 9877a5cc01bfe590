"""The page of a simulation has a line for each policy, and a dot for each retraining."""

from __future__ import annotations

import re
from dataclasses import replace

from millrace.console.pages.simulated import simulated_page
from millrace.simulation.proposal import compare
from tests.millrace.simulation.test_simulation import TERMS, aging


def test_each_policy_has_a_line_and_each_retraining_a_dot() -> None:
    found = compare(aging(40), replace(TERMS, usd_per_training=20))
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
