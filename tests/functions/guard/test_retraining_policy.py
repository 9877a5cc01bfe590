"""New rows of a table, from its metadata: what was dropped since a run pinned its snapshot."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Container
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from millrace.datasets.notes import COMPACTED, LABELS_SNAPSHOT, UNLABELLED, WITHDRAWN
from millrace.functions.guard.evidence import count_new_rows, decided
from millrace.messages.retrain import RetrainingDecided
from millrace.monitoring.retraining_policy import RetrainingFacts, decide
from millrace.simulation import simulation
from millrace.simulation.simulation import Replay, RetrainingPolicy, simulate
from millrace.state.budget import MonthlyBudget
from millrace.state.holdings import Lease
from millrace.state.retraining import LastRetraining
from millrace.state.versions import ChangeStarts
from millrace.timestamps import format_utc, month, parse_utc
from millrace.workload.declaration import Budget, Retraining
from millrace.workload.load import load_workload
from tests.functions.conftest import Aws
from tests.functions.guard.test_handler import labels, lake_of, put_table, ready  # noqa: F401
from tests.millrace.simulation.test_simulation import TERMS, history
from tests.shipped import SHIPPED


def written(
    aws: Aws, summaries: list[dict[str, Any]], refs: dict[str, int], expired: Container[int] = (), *, ahead: bool = True
) -> int:
    """New rows since the run `r1`, of a table with these snapshots, each after the one before it."""
    aws.glue.create_database(DatabaseInput={"Name": aws.names.platform.database})
    texts = [{name: str(value) for name, value in one.items()} for one in summaries]
    put_table(aws, "rows", texts, refs=refs, first=0, expired=expired)
    return count_new_rows(lake_of(aws), runs=["r1", "r2"], lies_ahead=ahead)


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ([], 0),
        ([{"added-records": 700}, {"added-records": 24}], 724),
        ([{"added-records": 700}, {"added-records": 24, LABELS_SNAPSHOT: 7}], 700),
        ([{"operation": "replace"}, {"added-records": 9}], 9),
        ([{"added-records": 700}, {"added-records": 18_244, COMPACTED: 3}], 700),
        ([{"added-records": 700}, {"added-records": 18_243, WITHDRAWN: 1}], 700),
    ],
    ids=["none", "two drops", "rows that labels completed are counted with these", "no rows", "files", "an erasure"],
)
def test_what_was_dropped_since_the_pinned_snapshot(aws: Aws, more: list[dict[str, Any]], rows: int) -> None:
    before = [{"added-records": 17_000}, {"added-records": 544}]
    assert written(aws, [*before, *more], {"r1": 1}) == rows


@pytest.mark.parametrize(("lies_ahead", "rows"), [(True, 724), (False, 690)])
def test_a_row_without_its_label_is_a_label_only_where_labels_lie_ahead(aws: Aws, lies_ahead: bool, rows: int) -> None:
    drops = [{"added-records": 544}, {"added-records": 700, UNLABELLED: 34}, {"added-records": 24}]
    refs = {"r1": 0}
    assert written(aws, drops, refs, ahead=lies_ahead) == rows


def test_a_drop_whose_snapshot_has_expired_is_counted(aws: Aws) -> None:
    drops = [{"added-records": number} for number in (17_000, 544, 700, 24, 1)]
    assert written(aws, drops, {"r1": 1}, expired={0, 2, 3}) == 725


@pytest.mark.parametrize("newer", ["r1", "r2-0-1"])
def test_of_two_runs_the_newer_snapshot_counts(aws: Aws, newer: str) -> None:
    """The champion's run is the older one where a later model was refused, the newer one where a person trained."""
    refs = {("r2-0-0" if newer == "r1" else "r1"): 0, newer: 1}
    assert written(aws, [{"added-records": 17_000}, {"added-records": 544}, {"added-records": 24}], refs) == 24


def test_a_snapshot_that_is_not_known_promises_nothing(aws: Aws) -> None:
    assert written(aws, [{"added-records": 17_000}], {"other": 0}) == 0


def test_without_a_table_there_is_no_row(aws: Aws) -> None:
    aws.glue.create_database(DatabaseInput={"Name": aws.names.platform.database})
    assert count_new_rows(lake_of(aws), runs=["r1"], lies_ahead=True) == 0


NOW = parse_utc("1997-06-01T06:00:00Z")
POLICY = Retraining(
    schedule="cron(0 7 1 1,7 ? *)", cool_down_days=35, minimum_new_labels=1344, maximum_runs_per_month=4
)
BUDGET = Budget(monthly_usd=50)
FINE = RetrainingFacts(
    as_of=NOW,
    trigger="alarm",
    execution_arn="me",
    has_champion=True,
    last=LastRetraining(),
    labels_total=7200,
    spent_usd=1.0,
    projected_usd=0.2,
)


def last(days, *, runs=1, labels=0, run="before"):
    at = NOW - timedelta(days=days)
    return LastRetraining(
        execution_arn=run, started_at=at, labels_total=labels, counted_month=month(at), runs_in_month=runs
    )


OTHER = Lease(name="retrain", holder="other", as_of=NOW, expires_at=NOW + timedelta(hours=9))
OBJECTIONS = {
    "no_champion": (replace(FINE, has_champion=False), None),
    "running": (replace(FINE, lease=OTHER), "1997-06-01T15:00:00Z"),
    "cool_down": (replace(FINE, last=last(34)), "1997-06-02T06:00:00Z"),
    "runs_per_month": (replace(FINE, trigger="command", last=last(0, runs=4)), "1997-07-01T00:00:00Z"),
    "budget": (replace(FINE, spent_usd=49.9), "1997-07-01T00:00:00Z"),
    "new_labels": (replace(FINE, last=last(40, labels=7200 - 1343)), None),
    "drifted_labels": (replace(FINE, drifted_since=NOW - timedelta(days=14), drifted_labels=1343), None),
    "alarm": (replace(FINE, alarms=("unreadable",)), None),
}


def answered(evidence):
    return decided(evidence, decide(evidence, policy=POLICY, budget=BUDGET), POLICY)


def test_nothing_against_it():
    assert answered(FINE).accepted
    assert answered(replace(FINE, last=last(35, labels=7200 - 1344))).accepted
    later = replace(FINE, last=last(35, labels=7200 - 344), new_rows=1000)
    assert answered(later).accepted, "rows that are the truth of earlier ones count as labels"
    assert not answered(replace(later, new_rows=999)).accepted


@pytest.mark.parametrize("reason", OBJECTIONS)
def test_each_objection_is_seen_with_its_earliest_next_time(reason):
    evidence, earliest = OBJECTIONS[reason]
    decision = answered(evidence)
    assert (decision.accepted, decision.reason) == (False, reason)
    assert decision.earliest_next == (parse_utc(earliest) if earliest else None)
    assert decision.sentence


def test_the_objection_that_lasts_longest_is_told():
    evidence = replace(FINE, last=last(1), spent_usd=49.9)
    assert answered(evidence).reason == "cool_down"


def test_one_named_alarm_is_enough():
    error_alone = POLICY.model_copy(update={"alarms": ("error",)})
    both, drift = replace(FINE, alarms=("input-drift", "error")), replace(FINE, alarms=("input-drift",))
    assert decide(both, policy=error_alone, budget=BUDGET).accepted
    assert not decide(drift, policy=error_alone, budget=BUDGET).accepted


def test_labels_at_large_do_not_make_up_for_those_of_the_drifted_period():
    evidence = replace(FINE, drifted_since=NOW - timedelta(days=14), drifted_labels=60)
    answer = answered(evidence)
    assert (answer.accepted, answer.evidence.new_labels, answer.evidence.labels_wanted) == (False, 7200, 1284)
    assert answered(replace(evidence, drifted_labels=1344)).accepted
    few = POLICY.model_copy(update={"minimum_drifted_labels": 60})
    assert decide(evidence, policy=few, budget=BUDGET).accepted
    assert decide(replace(evidence, trigger="command"), policy=POLICY, budget=BUDGET).accepted


def test_a_run_dearer_than_a_month_has_no_next_time():
    assert answered(replace(FINE, projected_usd=51)).earliest_next is None


def test_a_command_is_held_by_neither_cool_down_nor_labels():
    evidence = replace(FINE, last=last(1, labels=7200))
    assert not answered(evidence).accepted
    assert answered(replace(evidence, trigger="command")).accepted


def test_an_expired_lease_and_the_own_one_do_not_hold():
    assert answered(replace(FINE, lease=replace(OTHER, expires_at=NOW))).accepted
    assert answered(replace(FINE, lease=replace(OTHER, holder="me"))).accepted


def test_a_table_made_anew_counts_from_zero():
    assert replace(FINE, last=last(40, labels=9999)).new_labels == 0


def test_a_redrive_gets_the_same_answer():
    assert answered(replace(FINE, last=last(0, run="me"))).accepted


USD, WEEKS = 30.0, 30
"""What a training reserves: the month's budget has room for one."""


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_guard_and_a_simulation_start_the_same_retrainings(folder, aws, ready, load, event, monkeypatch):  # noqa: F811
    """Versions err more with their age, on drawn numbers of rows a day. Cool-down and money are never broken."""
    workload, rng = load_workload(folder), np.random.default_rng(list(folder.name.encode()))
    retraining, guard, state = workload.retraining, load("guard"), aws.state
    sys.modules["millrace.functions.guard.handler"].ROOM.workload = workload
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
