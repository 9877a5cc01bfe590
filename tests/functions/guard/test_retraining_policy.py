"""The guard's decision, every objection seen, and two years of alarms; of guards at once: tests/functions/guard."""

from dataclasses import replace
from datetime import timedelta

import pytest

from millrace.functions.guard.evidence import decided
from millrace.monitoring.retraining_policy import RetrainingFacts, decide
from millrace.state.leases import Lease
from millrace.state.retraining import LastRetraining
from millrace.timestamps import month, parse_utc
from millrace.workload.declaration import Budget, Retraining

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
