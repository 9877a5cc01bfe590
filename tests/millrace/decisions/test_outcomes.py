"""Which label belongs to which decision."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from millrace.aws.queues import MESSAGE_BYTES
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.columns import ColumnShape, of_decisions
from millrace.decisions.outcome_columns import join
from millrace.decisions.portion import MOST, bodies
from millrace.decisions.record import Decision
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
from millrace.workload.declaration import Prediction, Workload
from millrace.workload.load import load_workload
from tests import builders
from tests.shipped import ELECTRICITY

NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workload(ELECTRICITY)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(ELECTRICITY)


def decision(name: str, at: datetime = NOON, value: int | None = 1, **fields: Any) -> Decision:
    return builders.decision(
        **{
            "id": name,
            "event_time": at,
            "key": {"timestamp": at.replace(tzinfo=None).isoformat()},
            "output": {"value": value, "probability": 0.5, "confidence": 0.5},
            "inferred_at": NOON,
        }
        | fields
    )


LATER, NEXT = NOON + timedelta(minutes=30), NOON + timedelta(seconds=1)
A = decision("a")


def labels(*rows: tuple[datetime, int], ids: tuple[str | None, ...] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"timestamp": at.replace(tzinfo=None), "class": label} for at, label in rows]
    return [row | {"prediction_id": name} for row, name in zip(found, ids, strict=True)] if ids else found


def joined(decisions: list[Decision], rows: Any, spec: Prediction, contract: Contract, task: Any) -> dict[str, Any]:
    """By id the label and the error of each outcome; None for what is not known."""
    said = of_decisions(decisions, ColumnShape(cells={}, answer=task.answer))
    found = join(said, pa.Table.from_pylist(rows), prediction_spec=spec, table=contract.labels, task=task)
    errors = [None if math.isnan(error) else error for error in found.errors.tolist()]
    return dict(zip(found.column("id").to_pylist(), zip(found.labels.tolist(), errors, strict=True), strict=True))


@pytest.mark.parametrize(
    ("decisions", "rows", "expected"),
    [
        (
            [A, decision("b", LATER), decision("c", NOON + timedelta(days=1))],
            labels((NOON, 1), (LATER, 0)),
            {"a": (1, 0.0), "b": (0, 1.0), "c": (None, None)},
        ),
        ([decision("late", inferred_at=NEXT), decision("early")], labels((NOON, 0)), {"early": (0, 1.0)}),
        ([decision("f", fallback=True), decision("n", value=None)], labels((NOON, 0)), {}),
        ([A], labels((NOON, 0), (NOON, 1), ids=(None, "a")), {"a": (1, 0.0)}),
        ([A, decision("b", inferred_at=NEXT)], labels((NOON, 0), ids=("b",)), {"a": (0, 1.0)}),
    ],
    ids=["by key and time", "the first counts", "none of a fallback", "an id before a key", "of a later decision"],
)
def test_a_label_belongs_to_the_first_decision_on_its_row(
    decisions: list[Decision], rows: Any, expected: Any, workload: Workload, contract: Contract
) -> None:
    assert joined(decisions, rows, workload.prediction, contract, Binary()) == expected


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
    found = joined([decision("a", output={"value": value})], [row], workload.prediction, contract, task)
    assert found == {"a": (label, error)}


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
        came, _ = joined([A], [label], prediction_spec, contract, Binary())["a"]
        assert came == (1 if known else None)


FORECAST = Forecast(quantiles=(0.1, 0.9), horizons_hours=tuple(float(hours) for hours in range(1, 11)))
TIMED = {"column": "class", "horizon_hours": list(FORECAST.horizons_hours)}


def forecast(value: list[float], rows: Any, workload: Workload, contract: Contract) -> Any:
    declared = workload.prediction.model_dump(exclude={"label", "horizon_hours"}) | {"label": TIMED}
    spec, said = Prediction.model_validate(declared), decision("a", output={"value": value})
    return joined([said], rows, spec, contract, FORECAST)["a"]


@pytest.mark.parametrize(
    ("come", "error"), [(range(0), None), (range(1, 9), None), (range(1, 10), 1.0), (range(1, 11), 0.9)]
)
def test_the_labels_of_a_forecast_come_hour_by_hour(
    come: range, error: float | None, workload: Workload, contract: Contract
) -> None:
    """Nine of ten are enough; each is 1 too high but the last, which is right."""
    rows = labels(*((NOON + timedelta(hours=hours), hours - (hours < 10)) for hours in come))
    label, came = forecast([float(hours) for hours in range(1, 11)], rows, workload, contract)
    assert came == (None if error is None else pytest.approx(error))
    assert (label or []).count(None) == (10 - len(come) if len(come) else 0)


def test_a_label_of_a_forecast_without_a_time_is_of_no_horizon(workload: Workload, contract: Contract) -> None:
    assert forecast([1.0] * 10, [{"prediction_id": "a", "class": 1}], workload, contract) == (None, None)


def read(body: str) -> list[Any]:
    found: list[Any] = json.loads(body)["decisions"]
    return found


def test_a_message_keeps_both_limits_and_the_order() -> None:
    for text in ("x", "x" * 5000, "x" * (MESSAGE_BYTES - 100)):
        documents = [{"id": f"r-{number}", "text": text} for number in range(250)]
        packed = list(bodies(documents[: 3 if len(text) > 5000 else 250]))
        assert all(len(body) <= MESSAGE_BYTES + len('{"decisions":[]}') for body in packed)
        assert all(len(read(body)) <= MOST for body in packed)
        assert [one for body in packed for one in read(body)] == documents[: 3 if len(text) > 5000 else 250]
