"""A drop belongs to one execution, which whoever finds the claim can start."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from millrace.errors import ConflictError
from millrace.state.budget import MonthlyBudget
from millrace.state.callers import LEASE_S, CallerBuckets
from millrace.state.claims import Claims, Start
from millrace.state.refused_share import RefusedRows
from millrace.state.retraining import LastRetraining
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.functions.cold_start import NAMES

NOW = parse_utc("1997-06-01T06:00:00Z")


def start(name: str) -> Start:
    return Start(machine="ingest", pool="ingest-training", name=name, input=f'{{"cause": "{name}"}}')


def test_a_group_has_all_of_its_drops_or_none(table):
    claims = Claims(table)
    assert claims.find("a") is None
    assert claims.take(start("one"), ["a", "b"], now=NOW)
    assert not claims.take(start("two"), ["b", "c"], now=NOW)
    assert [claims.find(each) for each in ("a", "b", "c")] == [start("one"), start("one"), None]
    assert not claims.take(start("one"), ["a", "b"], now=NOW), "not even its own"
    assert claims.take(start("three"), ["c"], now=NOW)


def test_of_groups_that_are_claimed_at_once_one_has_the_drop(table):
    def take(name: str) -> bool:
        try:
            return Claims(table).take(start(name), ["a", name], now=NOW)
        except ConflictError:
            return False

    with ThreadPoolExecutor(4) as pool:
        won = [name for name, is_won in zip("wxyz", pool.map(take, "wxyz"), strict=True) if is_won]
    assert [Claims(table).find("a")] == [start(name) for name in won]


class Canceled(Exception):  # noqa: N818 - DynamoDB's word is an exception, too
    """As boto3 raises it; moto has no conflicts."""

    def __init__(self, *reasons: str) -> None:
        self.response = {"CancellationReasons": [{"Code": reason} for reason in reasons]}


@pytest.mark.parametrize(
    ("reasons", "error"),
    [
        (("None", "TransactionConflict"), ConflictError),
        (("ConditionalCheckFailed", "TransactionConflict"), ConflictError),
        (("ThrottlingError", "None"), Canceled),
    ],
)
def test_a_transaction_that_was_not_decided_is_no_answer(reasons, error):
    def refuse(**_: object) -> None:
        raise Canceled(*reasons)

    client = SimpleNamespace(
        transact_write_items=refuse, exceptions=SimpleNamespace(TransactionCanceledException=Canceled)
    )
    with pytest.raises(error):
        Claims(StateTable(client, NAMES)).take(start("one"), ["a"], now=NOW)


A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def test_spend_is_reserved_once_per_run_and_never_over_the_budget(table):
    budget = MonthlyBudget(table)
    assert not budget.reserve(0.51, arn="a", as_of=NOW, monthly_usd=0.5), "dearer than the whole month"
    assert budget.spent_usd(NOW) == 0
    assert budget.reserve(0.231, arn="a", as_of=NOW, monthly_usd=0.5)
    assert budget.reserve(0.231, arn="a", as_of=NOW, monthly_usd=0.5)
    assert budget.spent_usd(NOW) == Decimal("0.24")
    assert budget.reserve(0.26, arn="b", as_of=NOW, monthly_usd=0.5)
    assert not budget.reserve(0.01, arn="c", as_of=NOW, monthly_usd=0.5)
    assert budget.spent_usd(NOW) == Decimal("0.50")
    assert budget.reserve(0.01, arn="c", as_of=NOW + timedelta(days=30), monthly_usd=0.5)


def test_months_tell_what_their_runs_reserved(table):
    budget = MonthlyBudget(table)
    for arn, usd, as_of in (
        (A, 1.5, "1997-06-01T06:00:00Z"),
        (B, 2.0, "1997-06-30T23:00:00Z"),
        (A, 3.0, "1997-05-01T00:00:00Z"),
    ):
        assert budget.reserve(usd, arn=arn, as_of=parse_utc(as_of), monthly_usd=50)
    assert {name: (spend.usd, spend.runs) for name, spend in budget.months().items()} == {
        "1997-05": (Decimal(3), {A: Decimal(3)}),
        "1997-06": (Decimal("3.5"), {A: Decimal("1.5"), B: Decimal(2)}),
    }


def test_a_retraining_is_counted_once_and_by_month(table):
    assert LastRetraining.read(table).started_at is None
    LastRetraining.record(table, A, as_of=NOW, labels_total=1000)
    LastRetraining.record(table, A, as_of=NOW, labels_total=1000)
    assert (LastRetraining.read(table).runs_in("1997-06"), LastRetraining.read(table).runs_in("1997-07")) == (1, 0)
    LastRetraining.record(table, B, as_of=NOW, labels_total=2000)
    assert LastRetraining.read(table).runs_in("1997-06") == 2
    last = LastRetraining.read(table)
    assert (last.execution_arn, last.labels_total, last.started_at) == (B, 2000, NOW)


def test_a_redriven_retraining_of_an_earlier_month_counts_in_the_last_one(table):
    LastRetraining.record(table, A, as_of=NOW, labels_total=1000)
    LastRetraining.record(table, B, as_of=parse_utc("1997-05-20T06:00:00Z"), labels_total=2000)
    last = LastRetraining.read(table)
    assert (last.execution_arn, last.started_at, last.counted_month) == (B, NOW, "1997-06")
    assert (last.runs_in("1997-05"), last.runs_in("1997-06"), last.runs_in("1997-07")) == (2, 2, 0)


def test_a_share_is_judged_by_the_declared_one_and_by_three_times_the_usual(table):
    refused = RefusedRows(table)
    assert refused.shares() == {}
    assert refused.ratio("labels", rows=1000, refused=40, declared=0.05) == pytest.approx(0.8)
    assert refused.shares() == {"labels": 0.04}
    assert refused.ratio("labels", rows=100, refused=30, declared=0.05) == pytest.approx(2.5)
    assert refused.ratio("training", rows=100, refused=30, declared=0.05) == pytest.approx(6)


def test_what_is_above_the_bound_does_not_become_usual(table):
    refused = RefusedRows(table)
    refused.ratio("labels", rows=1000, refused=10, declared=0.05)
    ratios = [refused.ratio("labels", rows=100, refused=100, declared=0.05) for _ in range(20)]
    assert ratios == pytest.approx([20] * 20)
    assert refused.shares() == {"labels": 0.01}


def test_a_few_rows_are_no_share(table):
    refused = RefusedRows(table)
    assert [refused.ratio("labels", rows=rows, refused=rows, declared=0.5) for rows in (0, 19, 20)] == [0, 0, 2]
    assert refused.shares() == {}


ANN = "arn:aws:sts::123456789012:assumed-role/shop/ann"
START = 1_800_000_000.0


def through(buckets: CallerBuckets, times: list[float], caller: str = ANN) -> int:
    return sum(not buckets.take(caller, START + at) for at in times)


def test_a_burst_gets_through_and_then_what_flows_in(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=10, burst=20)
    assert through(buckets, [0.0] * 50) == 20
    assert buckets.take(ANN, START) == pytest.approx(0.1)
    assert through(buckets, [0.35] * 10) == 3
    assert through(buckets, [100.0] * 50) == 20, "no more than a full bucket is saved"


def test_all_sessions_of_a_role_share_a_bucket_and_other_callers_have_their_own(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=1, burst=2)
    assert through(buckets, [0.0] * 2) == 2
    assert through(buckets, [0.0], ANN.replace("/ann", "/bob")) == 0
    assert through(buckets, [0.0], ANN.replace("shop", "till")) == 1
    assert through(buckets, [0.0], "arn:aws:iam::123456789012:user/ann") == 1


@pytest.mark.parametrize(
    "copies", [*(pytest.param(some, marks=pytest.mark.night("by day the most copies")) for some in (1, 3)), 20]
)
def test_many_copies_let_through_no_more_than_the_bound_and_nearly_all_of_it(table: StateTable, copies: int) -> None:
    rate, burst, seconds = 50, 40, 10
    buckets = [CallerBuckets(table, requests_per_s=rate, burst=burst) for _ in range(copies)]
    chosen = random.Random(7)
    times = sorted(chosen.uniform(0, seconds) for _ in range(rate * seconds * 3))
    found = sum(not chosen.choice(buckets).take(ANN, START + at) for at in times)
    assert found <= burst + rate * (seconds + LEASE_S)
    assert found >= 0.8 * rate * seconds


def test_tokens_that_nobody_spends_in_time_are_void(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=100, burst=100)
    assert through(buckets, [0.0] * 30) == 30
    other = CallerBuckets(table, requests_per_s=100, burst=100)
    waiting = [0.0] * 300
    assert through(other, waiting) <= 70
    assert through(buckets, [LEASE_S + 0.01] * 300) + through(other, [LEASE_S + 0.01] * 300) <= 101
