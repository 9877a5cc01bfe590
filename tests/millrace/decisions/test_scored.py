"""The rows of a delivered file as decisions: which days they are about, which are read, and how one is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from moto import mock_aws

from millrace.decisions.columns import of_decisions, read_folder, read_parts
from millrace.decisions.labelled import SHAPE
from millrace.decisions.record import canonical, prefix
from millrace.decisions.scored import delivered_key, reference_key, rows_by_day
from millrace.decisions.store import find_decision, read_days, stored_objects
from tests import builders

BUCKET, WORKLOAD, DROP = "lake", "shop", "9f86d0-81"
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
TODAY, TOMORROW = START.date(), START.date() + timedelta(days=1)
KNOWN = builders.scored_day(rows=12, inferred_at=START, key=("shop", "at"))


def table(rows: int = 24) -> pa.Table:
    """A row an hour: twelve of the first day, the others of the next ones."""
    return pa.table(
        {
            "shop": [f"s{row % 3}" for row in range(rows)],
            "at": pa.array([(START + timedelta(hours=row)).replace(tzinfo=None) for row in range(rows)]),
            "sold": pa.array([row / 2 for row in range(rows)], pa.float32()),
            "scan": [b"\x89PNG" for _ in range(rows)],
            "value": pa.array([row % 2 for row in range(rows)], pa.int32()),
            "confidence": [0.75] * rows,
            "model_version": ["4"] * rows,
            "row_number": range(2, rows + 2),
        }
    )


def parquet(rows: pa.Table) -> bytes:
    return builders.parquet(rows, row_group_size=7, write_page_checksum=True)


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def delivered(client: Any) -> Any:
    """The client, with a delivered file about two days."""
    client.put_object(Bucket=BUCKET, Key=delivered_key(WORKLOAD, DROP), Body=parquet(table()))
    for day in (TODAY, TOMORROW):
        key = reference_key(WORKLOAD, day, DROP)
        client.put_object(Bucket=BUCKET, Key=key, Body=KNOWN.model_dump_json().encode())
    return client


def test_rows_are_counted_by_their_day_in_utc() -> None:
    at = [datetime(2024, 1, 1, 23, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC), None]
    assert rows_by_day(pa.array(at, pa.timestamp("us", "UTC"))) == {TODAY: 1, date(1969, 12, 31): 1}
    offset = pa.array([datetime(2024, 1, 1, 23, tzinfo=UTC)]).cast(pa.timestamp("us", "America/New_York"))
    assert rows_by_day(offset) == {TODAY: 1}
    beyond = pa.array([2**62, -(2**62)], pa.timestamp("us"))
    assert rows_by_day(beyond) == {}


def test_the_rows_of_a_day_are_its_decisions(delivered: Any) -> None:
    found = read_days(delivered, BUCKET, WORKLOAD, [TOMORROW])
    assert found.unreadable == 0
    assert [one.id for one in found.decisions] == [f"{DROP}-{number}" for number in range(14, 26)]
    assert found.decisions[0] == builders.decision(
        id=f"{DROP}-14",
        workload=WORKLOAD,
        event_time=START + timedelta(hours=12),
        key={"shop": "s0", "at": "2024-01-02T00:00:00"},
        input=canonical({"shop": "s0", "at": "2024-01-02T00:00:00", "sold": 6.0}),
        output={"value": 0, "confidence": 0.75},
        model_version="4",
        latency_ms=0.0,
        inferred_at=START,
        source="batch",
    )


def test_a_row_is_found_by_its_id_with_its_long_cells(delivered: Any) -> None:
    days = [TODAY, TOMORROW]
    kept = find_decision(delivered, BUCKET, WORKLOAD, f"{DROP}-14", days)
    assert kept is not None
    assert (kept.uri, kept.scored) == (f"s3://{BUCKET}/{delivered_key(WORKLOAD, DROP)}", KNOWN)
    assert '"scan":"iVBORw=="' in kept.decision.input
    for wanted, among in ((f"{DROP}-14", [TODAY]), (f"{DROP}-26", days), ("other-14", days), (f"{DROP}-x", days)):
        assert find_decision(delivered, BUCKET, WORKLOAD, wanted, among) is None


def test_a_file_without_references_has_no_decision_and_one_that_is_gone_is_counted(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key=delivered_key(WORKLOAD, DROP), Body=parquet(table()))
    assert read_days(client, BUCKET, WORKLOAD, [TODAY]).decisions == ()
    assert find_decision(client, BUCKET, WORKLOAD, f"{DROP}-2", [TODAY]) is None
    client.put_object(Bucket=BUCKET, Key=reference_key(WORKLOAD, TODAY, "gone"), Body=KNOWN.model_dump_json().encode())
    assert read_days(client, BUCKET, WORKLOAD, [TODAY, TOMORROW]).unreadable == 1


def test_of_a_long_file_about_so_many_rows_are_read_and_no_hour_is_left_out(client: Any) -> None:
    """Every 24th row of an hourly file would be the same hour."""
    days = [TODAY + timedelta(days=day) for day in range(1, 101)]
    client.put_object(Bucket=BUCKET, Key=delivered_key(WORKLOAD, DROP), Body=parquet(table(101 * 24)))
    known = KNOWN.model_copy(update={"rows": 24})
    for day in days:
        key = reference_key(WORKLOAD, day, DROP)
        client.put_object(Bucket=BUCKET, Key=key, Body=known.model_dump_json().encode())
    found = read_days(client, BUCKET, WORKLOAD, days, most_scored=200).decisions
    assert 150 <= len(found) <= 250
    assert {one.event_time.hour for one in found} == {*range(24)}
    chosen: Any = {"most_scored": 200, "wanted": lambda rows: pc.less(rows["row_number"], 20)}
    parts = read_parts(client, BUCKET, WORKLOAD, days, shape=SHAPE, **chosen)
    ids = [name for part in parts for name in part.column("id").to_pylist()]
    assert ids == [f"{DROP}-{number}" for number in range(14, 20)]


def test_a_job_reads_what_its_manifest_names(delivered: Any, tmp_path: Path) -> None:
    keys = [reference_key(WORKLOAD, TODAY, DROP)]
    line = f"{prefix(WORKLOAD, TODAY)}x.jsonl"
    delivered.put_object(Bucket=BUCKET, Key=line, Body=b"")
    stored = stored_objects(delivered, BUCKET, WORKLOAD, [TODAY])
    named = [*stored.keys, *stored.files(WORKLOAD)]
    assert named == [*keys, line, delivered_key(WORKLOAD, DROP)]
    for key in (keys[0], named[-1]):
        path = tmp_path / key.removeprefix(f"{WORKLOAD}/")
        path.parent.mkdir(parents=True)
        path.write_bytes(delivered.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    expected = read_days(delivered, BUCKET, WORKLOAD, [TODAY]).decisions
    found = read_folder(tmp_path, workload=WORKLOAD, shape=SHAPE)
    assert found.table.equals(of_decisions(expected, SHAPE))
    path.unlink()
    assert read_folder(tmp_path, workload=WORKLOAD, shape=SHAPE).unreadable == 1
