"""The guard starts the retrainings that a simulation of the same declaration starts, request by request."""

import itertools
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from millrace.functions.guard.evidence import decided
from millrace.messages.retrain import RetrainingDecided
from millrace.monitoring.retraining_policy import decide
from millrace.simulation import simulation
from millrace.simulation.simulation import Replay, RetrainingPolicy, simulate
from millrace.state.budget import MonthlyBudget
from millrace.state.versions import ChangeStarts
from millrace.timestamps import format_utc
from millrace.workload.load import load_workload
from tests.functions.guard.test_handler import labels, ready  # noqa: F401
from tests.millrace.simulation.test_simulation import TERMS, history
from tests.shipped import SHIPPED

USD, WEEKS = 30.0, 30
"""What a training reserves: the month's budget has room for one."""


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_guard_and_a_simulation_start_the_same_retrainings(folder, aws, ready, load, event, monkeypatch):  # noqa: F811
    """Versions err more with their age, on drawn numbers of rows a day. Cool-down and money are never broken."""
    workload, rng = load_workload(folder), np.random.default_rng(list(folder.name.encode()))
    retraining, guard, state = workload.retraining, load("guard"), aws.state
    module = sys.modules["millrace.functions.guard.handler"]
    module.ROOM.workload, module.SOURCES = workload, replace(module.SOURCES, workload=workload)
    monkeypatch.setattr("millrace.functions.guard.evidence.projected_usd", lambda _: USD)
    answers = []

    def guarded(facts, **declared):
        """The decision, which the deployed guard shares if the cloud holds these facts."""
        monkeypatch.setattr("millrace.functions.guard.evidence.count_labels_since", lambda *_: facts.drifted_labels)
        labels(aws, facts.labels_total)
        since = {"error": facts.drifted_since} if facts.drifted_since else {}
        ChangeStarts(version="1", since=since, as_of=facts.as_of).put(state)
        detail = {"workload": "electricity", "alarms": [f"{aws.names.prefix}-error"] if since else []}
        arn = aws.names.execution_arn("retrain", facts.execution_arn)
        call = event("guard", detail=detail, as_of=format_utc(facts.as_of), by_event=True)
        answers.append(RetrainingDecided.model_validate(guard(call | {"execution": arn})))
        decision = decide(facts, **declared)
        # Without a bound on them these labels are not counted.
        counted = {} if retraining.drifted_labels else {"drifted_since": None, "drifted_labels": 0}
        known = replace(facts, trigger="alarm" if since else "schedule", **counted)
        assert answers[-1] == decided(known, decision, retraining)
        if decision.accepted:
            MonthlyBudget(state).reserve(USD, arn=arn, as_of=facts.as_of, monthly_usd=workload.budget.monthly_usd)
        assert aws.leases.free(arn) == ["lease#retrain"] * decision.accepted
        return decision

    monkeypatch.setattr(simulation, "decide", guarded)
    rows_D = rng.integers(5, 16, WEEKS * 7).astype(float)
    age_VD = np.maximum(np.arange(WEEKS * 7) - 7 * np.arange(WEEKS)[:, None], 0)
    lived = history([rng.binomial(rows_D.astype(int), 0.1 + age_VD / 600)], step=7, test_days=28)
    terms = replace(TERMS, retraining=retraining, budget=workload.budget, reserved_usd=USD)
    windows, pause = workload.monitors.error_windows, retraining.cool_down_days
    policy = RetrainingPolicy(error_bound=0.15, error_windows=windows, every_days=14, cool_down_days=pause)
    simulate(Replay(history=replace(lived, rows_D=rows_D), terms=terms), policy)
    starts = [one.evidence.as_of for one in answers if one.accepted]
    assert len({one.reason for one in answers}) > 2
    assert all(later - earlier >= timedelta(days=pause) for earlier, later in itertools.pairwise(starts))
    assert len({format_utc(at)[:7] for at in starts}) == len(starts) > 0
