"""A table that many small drops came into, after the schedule of its upkeep was due; under the function's own role."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from console.demo.electricity import STORY
from console.demo.months import SAMPLE
from console.local_cloud.local_cloud import LocalCloud, started
from millrace.contract.load import load_contract
from millrace.datasets import iceberg
from millrace.datasets.compaction import FEWEST
from millrace.datasets.journal import Journal
from millrace.datasets.tables import Lake
from tests.end_to_end.conftest import REST_S
from tests.functions.ingestion.test_ingest import parquet

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
    iceberg._client.cache_clear()  # that of another cloud, where a test before used one
    found = Lake(NAMES, load_contract(STORY.folder)).find("rows")
    assert found is not None
    return found


def drop(cloud: LocalCloud, name: str, body: bytes) -> None:
    bucket, key = NAMES.platform.bucket("landing"), f"{NAMES.workload}/training/{name}"
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


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
    for _ in range(2):  # in the local cloud the first of each month is due
        cloud.move_clock(cloud.now() + timedelta(days=32))
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
