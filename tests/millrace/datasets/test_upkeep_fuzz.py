"""Drops, versions, copies and withdrawals in any order: a table that is kept up answers as one that never was."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.datasets import compaction, expiry
from millrace.datasets.commits import Commit, commit
from millrace.datasets.compaction import compact
from millrace.datasets.expiry import delete_unreachable, expire
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.datasets.withdrawal import by_drop, withdraw
from millrace.names import WorkloadNames
from tests.millrace.datasets.conftest import make_places
from tests.millrace.datasets.test_commits import rows


@pytest.fixture
def pair(lake: Lake, cloud: Cloud) -> tuple[Lake, Lake]:
    """Two lakes that nothing has come into; the second one is kept up."""
    platform = replace(lake.names.platform, stage=f"t{uuid.uuid4().hex[:8]}")
    other = Lake(WorkloadNames(platform=platform, workload=lake.names.workload), lake.contract)
    make_places(cloud, platform)
    return lake, other


def version(drawn: random.Random, number: int) -> tuple[Source, pa.Table]:
    """A version of one of six objects: its bytes are one of twelve, its rows overlap those of others."""
    name, content = f"{drawn.randrange(6)}.csv", drawn.randrange(12)
    order = drawn.randrange(4)
    source = Source(
        uri=f"s3://landing/{name}?versionId={order}-{content}",
        key=name,
        digest=f"bytes-{content}",
        written_by=drawn.choice([f"run-{number}", f"drop-{name}-{order}-{content}"]),
        sequencer=f"00{order}" if drawn.random() < 0.8 else "",
        arrived=datetime(1997, 6, 1, tzinfo=UTC),
    )
    return source, rows(content * 3, 5)


def steps(drawn: random.Random, number_of: int) -> list[Callable[[Lake], object]]:
    """What happens to both."""
    made: list[Callable[[Lake], object]] = []
    for number in range(number_of):
        if drawn.random() < 0.12:
            key, cause = f"{drawn.randrange(6)}.csv", f"person-{drawn.randrange(3)}"
            made.append(lambda lake, key=key, cause=cause: withdraw(lake, "rows", by_drop(key), cause=cause))
        else:
            source, given = version(drawn, number)
            made.append(lambda lake, source=source, given=given: commit(lake, "rows", given, source))
    return made


def keep_up(lake: Lake, s3: Any, drawn: random.Random) -> None:
    time.sleep(0.002)
    before = datetime.now(UTC)
    if drawn.random() < 0.7:
        compact(lake, "rows")
    if drawn.random() < 0.8:
        expire(lake, "rows", before=before)
    if drawn.random() < 0.5:
        delete_unreachable(lake, s3, "rows", before=before, grace=timedelta(0))


def told(answer: object) -> object:
    """Snapshots have other numbers in the other table."""
    return replace(answer, snapshot_id=0) if isinstance(answer, Commit) else answer


def content(lake: Lake) -> pa.Table:
    table = lake.open("rows").scan().to_arrow()
    return table.sort_by([("timestamp", "ascending"), ("_source", "ascending")])


@pytest.mark.parametrize(
    ("seed", "number_of"),
    [
        (0, 30),
        *(pytest.param(each, 40, marks=pytest.mark.night("by day one history of eight")) for each in range(1, 8)),
    ],
)
def test_a_table_that_is_kept_up_answers_as_one_that_never_was(
    pair: tuple[Lake, Lake], cloud: Cloud, seed: int, number_of: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 2)
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 3)
    drawn, s3 = random.Random(seed), cloud.client("s3")
    plain, kept = pair
    for number, step in enumerate(steps(drawn, number_of)):
        if drawn.random() < 0.35:
            keep_up(kept, s3, drawn)
        assert told(step(kept)) == told(step(plain)), f"step {number}"
    assert content(kept).equals(content(plain))
    if content(kept).num_rows:
        before = pin(kept, "before").data_digest
        keep_up(kept, s3, drawn)
        assert pin(kept, "after").data_digest == before
    assert len(kept.open("rows").metadata.snapshots) < len(plain.open("rows").metadata.snapshots)
