"""A drop and a request fill generated columns by one rule."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from millrace.contract.freshness import AllowedAge
from millrace.contract.future import up_to
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.contract.row import check_row
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE, Column, Table
from millrace.decisions.road import complete
from millrace.errors import WorkloadError
from millrace.files.origin import Origin, fill_generated
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.shipped import ELECTRICITY, WORKLOADS

AT = datetime(2024, 1, 8, 9, 30, tzinfo=UTC)
ARROW = {"string": pa.string(), "timestamp": pa.timestamp("us"), "timestamp_utc": pa.timestamp("us", "UTC")}


@pytest.mark.parametrize(
    ("generated", "kind"),
    [
        ("row_id", "string"),
        ("event_time", "timestamp"),
        ("event_time", "timestamp_utc"),
        ("row_order", "timestamp"),
        ("row_order", "timestamp_utc"),
    ],
)
def test_a_request_has_the_cells_of_a_drop_with_its_rows(generated: Any, kind: Any) -> None:
    """Of a drop that came at the same time, and whose digest is the call's id."""
    table = Table(name="rows", columns=(Column(name="made", kind=kind, generated=generated),), keys=())
    rows = pa.table({"made": pa.nulls(3, ARROW[kind]), LINE: pa.array([0, 1, 2], pa.int64())})
    origin = Origin(name="a.csv", at=AT, digest="ab" * 8, fetch=lambda key, version: b"")
    dropped = fill_generated(rows, table, origin)["made"].to_pylist()
    asked = [row["made"] for row in complete([{}] * 3, table, at=AT, ids=[f"{'ab' * 8}-{row}" for row in range(3)])]
    assert asked == [cell if isinstance(cell, str) else cell.isoformat() for cell in dropped]
    assert len(set(asked)) == (1 if generated == "event_time" else 3)
    assert asked == sorted(asked), "times keep the order of the rows"


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


LATENCY = {"property": "latency", "value": 2, "unit": "d", "element": "rows.timestamp"}


def contract_with(folder: Path, *agreements: dict[str, Any]) -> Path:
    own = folder / "electricity"
    own.mkdir()
    shutil.copy(ELECTRICITY / "workload.yaml", own)
    document = yaml.safe_load((ELECTRICITY / "contract.yaml").read_text()) | {"slaProperties": list(agreements)}
    (own / "contract.yaml").write_text(yaml.safe_dump(document))
    return own


@pytest.mark.parametrize(
    ("change", "hours"), [({}, 48), ({"unit": "h"}, 2), ({"value": 0.5, "unit": "days"}, 12), ({"unit": "y"}, 17520)]
)
def test_the_latency_of_the_event_time_is_read(change: dict[str, Any], hours: float, tmp_path: Path) -> None:
    folder = contract_with(tmp_path, {"property": "retention", "value": 3, "unit": "y"}, LATENCY | change)
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.freshness == AllowedAge(column="timestamp", hours=hours)


@pytest.mark.parametrize(
    "agreements",
    [
        [LATENCY, LATENCY],
        [LATENCY | {"value": 0}],
        [LATENCY | {"value": "2"}],
        [LATENCY | {"unit": "m"}],
        [LATENCY | {"element": "labels.timestamp"}],
        [{"property": "latency", "value": 2}],
        [LATENCY | {"element": "rows.period"}],
    ],
)
def test_a_latency_that_cannot_be_kept_is_refused(agreements: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = contract_with(tmp_path, *agreements)
    with pytest.raises(WorkloadError, match="slaProperties: expected"):
        check_fit(load_workload(folder), check_contract(folder))
