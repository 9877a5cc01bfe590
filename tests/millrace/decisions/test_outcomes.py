"""Which label belongs to which decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.outcomes import join, latest_lines, read_labels
from millrace.decisions.record import Decision, Output
from millrace.workload.declaration import Workload, load_workload

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
            "output": Output(value=value, probability=0.5, confidence=0.5),
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
) -> dict[str, tuple[int | None, bool]]:
    surface = workload.prediction
    labels = read_labels(table, surface=surface, contract=contract.labels)
    outcomes = join(decisions, labels, surface=surface, contract=contract.labels)
    return {outcome.decision.id: (outcome.label, outcome.is_wrong) for outcome in outcomes}


def labels(*rows: tuple[datetime, int], ids: list[str | None] | None = None) -> pa.Table:
    times = pa.array([at.replace(tzinfo=None) for at, _ in rows], pa.timestamp("us"))
    table = pa.table({"timestamp": times, "class": pa.array([label for _, label in rows], pa.int32())})
    return table.append_column("prediction_id", pa.array(ids, pa.string())) if ids else table


def test_by_key_and_event_time(workload: Workload, contract: Contract) -> None:
    later = NOON + timedelta(minutes=30)
    decisions = [decision("a"), decision("b", later), decision("c", NOON + timedelta(days=1))]
    found = joined(decisions, labels((NOON, 1), (later, 0)), workload, contract)
    assert found == {"a": (1, False), "b": (0, True), "c": (None, False)}


def test_the_first_decision_on_a_moment_counts(workload: Workload, contract: Contract) -> None:
    again = [decision("late", inferred_at=NOON + timedelta(seconds=1)), decision("early")]
    assert list(joined(again, labels((NOON, 0)), workload, contract)) == ["early"]


def test_fallbacks_and_silence_have_no_outcome(workload: Workload, contract: Contract) -> None:
    others = [decision("f", fallback=True), decision("n", value=None)]
    assert joined(others, labels((NOON, 0)), workload, contract) == {}


def test_a_prediction_id_goes_before_the_key(workload: Workload, contract: Contract) -> None:
    found = joined([decision("a")], labels((NOON, 0), (NOON, 1), ids=[None, "a"]), workload, contract)
    assert found == {"a": (1, False)}


def test_a_line_that_comes_twice_is_one_decision() -> None:
    found = latest_lines([decision("a"), decision("b"), decision("a", latency_ms=7.0)])
    assert [(one.id, one.latency_ms) for one in found] == [("a", 7.0), ("b", 1.0)]
