"""The ages of rows and labels, and what is sent when they are above what was agreed on."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog

from millrace.datasets.iceberg import newest
from millrace.decisions.record import prefix
from millrace.monitoring.lateness import age_of_labels, labels_wait_since
from tests.functions.conftest import Aws

if TYPE_CHECKING:
    from tests.functions.plan_windows.test_handler import Event, Load

NOON = datetime(1997, 7, 1, 12, tzinfo=UTC)
DAYS = [date(1997, 5, 1), date(1997, 5, 2), date(1997, 6, 30)]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_the_newest_time_is_read_from_the_bounds_of_all_files(zone: str | None, tmp_path: Path) -> None:
    catalog = InMemoryCatalog("x", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("n")
    schema = pa.schema([("at", pa.timestamp("us", zone)), ("n", pa.int64())])
    table = catalog.create_table("n.rows", schema=schema)
    assert newest(table, "at") is None
    times = [datetime(1997, 6, day, 1, 2, 3, 456, tzinfo=UTC) for day in (9, 30, 2)]
    for time in (*times, None):  # a file each, the newest neither first nor last, and one without a time
        values = pa.array([time and time.replace(tzinfo=UTC if zone else None)], pa.timestamp("us", zone))
        table.append(pa.table({"at": values, "n": pa.array([1], pa.int64())}, schema=schema))
    assert newest(table, "at") == times[1]
    assert newest(table, "n") is None
    assert newest(table, "when") is None


@pytest.mark.parametrize(
    ("newest_label", "ahead", "share"),
    [
        (None, 0, 60.5),  # the first of May waits since midnight
        (datetime(1997, 5, 1, 3, tzinfo=UTC), 0, 59.5),  # the second of May does
        (datetime(1997, 5, 2, 3, tzinfo=UTC), 0, 0.5),  # the last of June does
        (datetime(1997, 5, 3, 3, tzinfo=UTC), 24, 0.5),  # the label lies a day behind its decision
        (datetime(1997, 5, 2, 3, tzinfo=UTC), 24, 59.5),
        (datetime(1997, 6, 30, 3, tzinfo=UTC), 0, 0.0),
    ],
)
def test_labels_are_late_from_the_first_day_on_that_waits(
    newest_label: datetime | None, ahead: float, share: float
) -> None:
    for days, expected in ((DAYS, share), ([NOON.date()], 0)):
        since = labels_wait_since(days, newest_label, ahead_hours=ahead)
        assert age_of_labels(since, as_of=NOON, hours=24) == expected


@pytest.mark.parametrize(("day", "is_late"), [(date(1997, 5, 26), False), (date(1997, 5, 25), True)])
def test_an_event_is_put_for_labels_that_are_late(
    day: date,
    is_late: bool,
    aws: Aws,
    load: Load,
    event: Event,
    told: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """840 hours behind the end of the 25th of May it is the 30th of June, behind that of the 26th the 1st of July."""
    aws.put(f"s3://{aws.names.platform.bucket('lake')}/{prefix('electricity', day)}x.jsonl", "")
    (age,) = load("lateness")(event("lateness", as_of="1997-06-30T05:00:00Z"))["ages"]
    assert (age["of"], age["newest"], age["allowed_hours"], age["share"] > 1) == ("labels", None, 840, is_late)
    metric = next(json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert metric["LabelsAge"] == [pytest.approx(age["share"])]
    assert [one["detail"] for one in told() if one["detail-type"] == "data.late"] == [
        {
            "workload": "electricity",
            "run": aws.names.function_arn("lateness"),
            "cause": "d32c5kddcf5bb8c3",
            "of": "labels",
            "newest": "none",
            "allowed_hours": 840,
            "owner": "that of the workload",
        }
    ] * is_late
