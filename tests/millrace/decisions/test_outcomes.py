"""Which label belongs to which decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.outcome_columns import join_decisions
from millrace.decisions.record import Decision
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
from millrace.workload.declaration import Prediction, Workload
from millrace.workload.load import load_workload

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workload(FOLDER)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(FOLDER)


def decision(name: str, at: datetime = NOON, value: int | None = 1, **fields: Any) -> Decision:
    return Decision(
        **{
            "id": name,
            "workload": "electricity",
            "event_time": at,
            "key": {"timestamp": at.replace(tzinfo=None).isoformat()},
            "input": "{}",
            "output": {"value": value, "probability": 0.5, "confidence": 0.5},
            "model_version": "1",
            "phase": "live",
            "fallback": False,
            "latency_ms": 1.0,
            "inferred_at": NOON,
        }
        | fields
    )


def joined(
    decisions: list[Decision], table: pa.Table, workload: Workload, contract: Contract
) -> dict[str, tuple[int | None, float | None]]:
    task = Binary()
    outcomes = join_decisions(
        decisions, table.to_pylist(), prediction_spec=workload.prediction, table=contract.labels, task=task
    )
    return {outcome.decision.id: (outcome.label, outcome.error) for outcome in outcomes}


def labels(*rows: tuple[datetime, int], ids: list[str | None] | None = None) -> pa.Table:
    times = pa.array([at.replace(tzinfo=None) for at, _ in rows], pa.timestamp("us"))
    table = pa.table({"timestamp": times, "class": pa.array([label for _, label in rows], pa.int32())})
    return table.append_column("prediction_id", pa.array(ids, pa.string())) if ids else table


def test_by_key_and_event_time(workload: Workload, contract: Contract) -> None:
    later = NOON + timedelta(minutes=30)
    decisions = [decision("a"), decision("b", later), decision("c", NOON + timedelta(days=1))]
    found = joined(decisions, labels((NOON, 1), (later, 0)), workload, contract)
    assert found == {"a": (1, 0.0), "b": (0, 1.0), "c": (None, None)}


def test_the_first_decision_on_a_moment_counts(workload: Workload, contract: Contract) -> None:
    again = [decision("late", inferred_at=NOON + timedelta(seconds=1)), decision("early")]
    assert list(joined(again, labels((NOON, 0)), workload, contract)) == ["early"]


def test_fallbacks_and_silence_have_no_outcome(workload: Workload, contract: Contract) -> None:
    others = [decision("f", fallback=True), decision("n", value=None)]
    assert joined(others, labels((NOON, 0)), workload, contract) == {}


def test_a_prediction_id_goes_before_the_key(workload: Workload, contract: Contract) -> None:
    found = joined([decision("a")], labels((NOON, 0), (NOON, 1), ids=[None, "a"]), workload, contract)
    assert found == {"a": (1, 0.0)}


def test_a_label_of_a_later_decision_is_the_truth_of_the_first(workload: Workload, contract: Contract) -> None:
    both = [decision("first"), decision("second", inferred_at=NOON + timedelta(seconds=1))]
    assert joined(both, labels((NOON, 0), ids=["second"]), workload, contract) == {"first": (0, 1.0)}


@pytest.mark.parametrize(
    ("task", "value", "label", "error"),
    [
        (Binary(positive="up"), 1, "down", 1.0),
        (Multiclass(classes=("low", "middle", "high")), "low", "low", 0.0),
        (Multiclass(classes=(1, 2, 3)), "2", 3, 1.0),
        (Regression(), 3.5, 5.0, 1.5),
    ],
)
def test_the_error_is_the_tasks(
    task: Any, value: Any, label: Any, error: float, workload: Workload, contract: Contract
) -> None:
    row = {"timestamp": NOON.replace(tzinfo=None), "class": label}
    (outcome,) = join_decisions(
        [decision("a", output={"value": value})],
        [row],
        prediction_spec=workload.prediction,
        table=contract.labels,
        task=task,
    )
    assert (outcome.label, outcome.error) == (label, error)


@pytest.mark.parametrize(("hours", "found"), [(24, True), (23, False), (0, False)])
def test_a_label_at_a_horizon_is_about_the_row_that_many_hours_before(
    hours: float, found: bool, workload: Workload, contract: Contract
) -> None:
    """A label that names its decision needs no time; one that has a time is believed only where it fits."""
    prediction_spec = workload.prediction.model_copy(update={"horizon_hours": hours})
    later = (NOON + timedelta(hours=24)).replace(tzinfo=None)
    for label, known in (
        ({"timestamp": later, "class": 1}, found),
        ({"prediction_id": "a", "class": 1}, True),
        ({"prediction_id": "a", "timestamp": later, "class": 1}, found or not hours),
    ):
        [outcome] = join_decisions(
            [decision("a")], [label], prediction_spec=prediction_spec, table=contract.labels, task=Binary()
        )
        assert outcome.label == (1 if known else None)


FORECAST = Forecast(quantiles=(0.1, 0.9), horizons_hours=tuple(float(hours) for hours in range(1, 11)))
TIMED = {"column": "class", "horizon_hours": list(FORECAST.horizons_hours)}


@pytest.mark.parametrize(
    ("come", "error"), [(range(0), None), (range(1, 9), None), (range(1, 10), 1.0), (range(1, 11), 0.9)]
)
def test_the_labels_of_a_forecast_come_hour_by_hour(
    come: range, error: float | None, workload: Workload, contract: Contract
) -> None:
    """Nine of ten are enough; each is 1 too high but the last, which is right."""
    prediction_spec = Prediction.model_validate(
        workload.prediction.model_dump(exclude={"label", "horizon_hours"}) | {"label": TIMED}
    )
    rows = [
        {"timestamp": (NOON + timedelta(hours=hours)).replace(tzinfo=None), "class": hours - (hours < 10)}
        for hours in come
    ]
    said = decision("a", output={"value": [float(hours) for hours in range(1, 11)]})
    (outcome,) = join_decisions([said], rows, prediction_spec=prediction_spec, table=contract.labels, task=FORECAST)
    assert outcome.error == (None if error is None else pytest.approx(error))
    assert (outcome.label or []).count(None) == (10 - len(come) if len(come) else 0)


def test_a_label_of_a_forecast_without_a_time_is_of_no_horizon(workload: Workload, contract: Contract) -> None:
    prediction_spec = Prediction.model_validate(
        workload.prediction.model_dump(exclude={"label", "horizon_hours"}) | {"label": TIMED}
    )
    said = decision("a", output={"value": [1.0] * 10})
    rows = [{"prediction_id": "a", "class": 1}]
    (outcome,) = join_decisions([said], rows, prediction_spec=prediction_spec, table=contract.labels, task=FORECAST)
    assert (outcome.label, outcome.error) == (None, None)
