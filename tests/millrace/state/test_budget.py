"""A month reserves no more than its budget."""

from datetime import timedelta
from decimal import Decimal

from millrace.state.budget import MonthlyBudget
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
