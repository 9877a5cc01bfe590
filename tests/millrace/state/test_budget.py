"""What is counted: reserved money and retrainings by month, and refused rows by feed."""

from datetime import timedelta
from decimal import Decimal

import pytest

from millrace.state.budget import MonthlyBudget
from millrace.state.refused_share import RefusedRows
from millrace.state.retraining import Retrainings
from millrace.timestamps import parse_utc

NOW = parse_utc("1997-06-01T06:00:00Z")
A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def test_spend_is_reserved_once_per_run_and_never_over_the_budget(table):
    budget = MonthlyBudget(table)
    assert budget.reserve(0.231, arn="a", as_of=NOW, monthly_usd=0.5)
    assert budget.reserve(0.231, arn="a", as_of=NOW, monthly_usd=0.5)
    assert budget.spent_usd(NOW) == Decimal("0.24")
    assert budget.reserve(0.26, arn="b", as_of=NOW, monthly_usd=0.5)
    assert not budget.reserve(0.01, arn="c", as_of=NOW, monthly_usd=0.5)
    assert budget.spent_usd(NOW) == Decimal("0.50")
    assert budget.reserve(0.01, arn="c", as_of=NOW + timedelta(days=30), monthly_usd=0.5)


def test_a_run_dearer_than_the_whole_month_is_refused(table):
    budget = MonthlyBudget(table)
    assert not budget.reserve(51, arn="a", as_of=NOW, monthly_usd=50)
    assert budget.spent_usd(NOW) == 0


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
    retrainings = Retrainings(table)
    assert retrainings.last().started_at is None
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    assert (retrainings.last().runs_in("1997-06"), retrainings.last().runs_in("1997-07")) == (1, 0)
    retrainings.record(execution_arn=B, as_of=NOW, labels_total=2000)
    assert retrainings.last().runs_in("1997-06") == 2
    last = retrainings.last()
    assert (last.execution_arn, last.labels_total, last.started_at) == (B, 2000, NOW)


def test_a_redriven_retraining_of_an_earlier_month_counts_in_the_last_one(table):
    retrainings = Retrainings(table)
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    retrainings.record(execution_arn=B, as_of=parse_utc("1997-05-20T06:00:00Z"), labels_total=2000)
    last = retrainings.last()
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
