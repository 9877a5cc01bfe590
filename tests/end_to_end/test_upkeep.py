"""A table that many small drops came into, and the lines of a day, after the schedule of their upkeep was due.

All is done under the function's own role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from millrace.aws.objects import keys_below
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE, LocalCloud, started
from millrace.console.queries.query import run_query
from millrace.contract.load import load_contract
from millrace.datasets import iceberg
from millrace.datasets.compaction import FEWEST
from millrace.datasets.journal import Journal
from millrace.datasets.tables import Lake
from millrace.decisions import absorption
from millrace.decisions.record import Decision, to_line
from millrace.decisions.store import StoredObjects, find_decision, read_days, stored_objects
from tests.builders import parquet
from tests.end_to_end.conftest import REST_S
from tests.end_to_end.test_sweep import drop
from tests.millrace.decisions.test_record import DECISION

pytestmark = pytest.mark.night("by day the function, and the fuzz of its tables and of absorbed lines")

NAMES = STORY.names
DROPS = FEWEST + 1


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A snapshot has the time of the machine, so the cloud's clock has it too."""
    with started(tmp_path_factory.mktemp("kept"), clock=datetime.now(UTC), workloads=[STORY.workload]) as cloud:
        yield cloud


def rows(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    iceberg.s3_client.cache_clear()  # that of another cloud, where a test before used one
    found = Lake(NAMES, load_contract(STORY.folder)).find("rows")
    assert found is not None
    return found


def test_two_months_later_the_table_is_small_and_knows_every_drop(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = pq.read_table(SAMPLE)
    bodies = [parquet(sample.slice(12 * number, 12)) for number in range(DROPS)]
    for number, body in enumerate(bodies):
        drop(cloud, f"{number}.parquet", body)
    cloud.wait(timeout_s=REST_S)
    before = rows(cloud, monkeypatch)
    assert len(list(before.scan().plan_files())) == DROPS
    for _ in range(2):  # in the local cloud the first of each month is due, and done when the clock has moved
        cloud.move_clock((cloud.now().replace(day=1) + timedelta(days=32)).replace(day=2))
        cloud.wait(timeout_s=REST_S)
    after = rows(cloud, monkeypatch)
    assert len(list(after.scan().plan_files())) == 1
    assert len(after.metadata.snapshots) == 1
    assert len(list(Journal.of(after))) == DROPS + 1, "and the compaction"
    assert after.scan().to_arrow().num_rows == 12 * DROPS
    drop(cloud, "again.parquet", bodies[0])
    drop(cloud, "new.parquet", parquet(sample.slice(12 * DROPS, 12)))
    cloud.wait(timeout_s=REST_S)
    assert rows(cloud, monkeypatch).scan().to_arrow().num_rows == 12 * (DROPS + 1), "the same bytes brought nothing"


def test_two_months_later_the_lines_of_a_day_are_a_file_that_all_readers_know(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests, repeated ones among them, become lines by the queue, and lines a file by night."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, cloud.secret)
    at, day = datetime(1997, 1, 1, 12, tzinfo=UTC), [date(1997, 1, 1)]
    first = [replace(DECISION, id=f"r-{number}", event_time=at) for number in range(absorption.FEWEST)]
    again = replace(first[0], inferred_at=first[0].inferred_at + timedelta(seconds=3), latency_ms=7.0)
    for one in (*first, again):
        send(cloud, one)
    before = kept(cloud)
    assert (len(before.lines), before.absorbed) == (absorption.FEWEST + 1, {})
    environment, s3, lake = local_environment(cloud), cloud.client("s3"), NAMES.platform.bucket("lake")
    lines, files = NAMES.table("decisions"), NAMES.table("decisions_absorbed")
    sql = f"SELECT eventmetadata.eventid AS id FROM {lines} UNION SELECT id FROM {files}"
    expected = read_days(s3, lake, NAMES.workload, day), run_query(environment, sql).rows
    assert expected[0].decisions == (again, *first[1:])
    for deleted in (False, True):  # in the local cloud the first of each month is due
        cloud.move_clock((cloud.now().replace(day=1) + timedelta(days=32)).replace(day=1, hour=4))
        cloud.wait(timeout_s=REST_S)
        now = kept(cloud)
        assert (now.lines, len(now.absorbed)) == ((), 1)
        there = set(keys_below(s3, lake, f"{NAMES.workload}/decisions/date="))
        assert there.isdisjoint(before.lines) is deleted
        assert read_days(s3, lake, NAMES.workload, day) == expected[0]
        assert run_query(environment, sql).rows.sort_by("id").equals(expected[1].sort_by("id"))
    send(cloud, late := replace(again, latency_ms=9.0))
    found = find_decision(s3, lake, NAMES.workload, again.id, day)
    assert found is not None
    assert found.decision == late, "of two lines of the same time the greater one, wherever they lie"


def send(cloud: LocalCloud, decision: Decision) -> None:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=NAMES.queue("decisions"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=to_line(decision))
    cloud.wait(timeout_s=REST_S)


def kept(cloud: LocalCloud) -> StoredObjects:
    lake = NAMES.platform.bucket("lake")
    return stored_objects(cloud.client("s3"), lake, NAMES.workload, [date(1997, 1, 1)])
