"""The event time of a training row lies no later than its drop can know."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace.contract.future import up_to
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.workload.load import load_workload

WORKLOADS = Path(__file__).parents[3] / "workloads"
ARRIVED = datetime(1997, 6, 1, 6, tzinfo=UTC)
PREDICTION_SPEC = load_workload(WORKLOADS / "electricity").prediction


def table(kind: str, *rules: Range) -> Table:
    return Table(name="rows", columns=(Column(name="timestamp", kind=kind, required=True, rules=rules),), keys=())  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "zone"), [("timestamp", ""), ("timestamp_utc", "Z")])
def test_what_lies_behind_the_drop_is_refused(kind: str, zone: str) -> None:
    bounded = up_to(table(kind), PREDICTION_SPEC, arrived=ARRIVED)
    for text in ("1998-06-02T06:00:00", "1900-01-01T00:00:00"):
        assert check_row({"timestamp": text + zone}, bounded) == ()
    for text in ("1998-06-02T06:00:01", "9999-12-31T00:00:00"):
        (found,) = check_row({"timestamp": text + zone}, bounded)
        assert (found.reason, found.column) == ("range", "timestamp")
        assert found.expected.startswith("<= 1998-06-02 06:00:00")


def test_a_bound_that_is_declared_stays_and_a_lower_one_beside_it() -> None:
    own = Range(maximum=datetime(2030, 1, 1))  # noqa: DTZ001
    assert up_to(table("timestamp", own), PREDICTION_SPEC, arrived=ARRIVED) == table("timestamp", own)
    least = Range(minimum=datetime(1996, 1, 1))  # noqa: DTZ001
    bounded = up_to(table("timestamp", least), PREDICTION_SPEC, arrived=ARRIVED)
    assert check_row({"timestamp": "1995-01-01T00:00:00"}, bounded)
    assert check_row({"timestamp": "1999-01-01T00:00:00"}, bounded)


def test_a_label_ahead_may_lie_ahead() -> None:
    prediction = load_workload(WORKLOADS / "air_quality").prediction
    contract = load_contract(WORKLOADS / "air_quality").labels
    column = up_to(contract, prediction, arrived=ARRIVED).column(prediction.event_time)
    bound = column.find(Range)
    assert bound is not None
    assert bound.maximum == (ARRIVED + timedelta(days=366, hours=prediction.horizon_hours)).replace(tzinfo=None)
