"""A table that is kept up: few files, few snapshots, and it knows what came into it as before."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.manifest import ManifestContent, ManifestFile

from localcloud.kernel.cloud import Cloud
from millrace.datasets import compaction, expiry
from millrace.datasets.commits import Commit, commit
from millrace.datasets.compaction import commit_job, compact, compact_by_job
from millrace.datasets.expiry import delete_unreachable, expire, oldest, reachable
from millrace.datasets.journal import Expired, Journal, JournalEntry, render
from millrace.datasets.new_rows import Source
from millrace.datasets.notes import ORIGIN, REPLACED, WITHDRAWN_DROP
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pinned
from millrace.datasets.withdrawal import withdraw
from millrace.errors import SnapshotError
from millrace.messages.bulk import RESULT, CompactionPlan
from tests.millrace.datasets.conftest import source_of
from tests.millrace.datasets.test_bulk import InTurn
from tests.millrace.datasets.test_commits import committed, rows, source

AT_ONCE = timedelta(0)


def now() -> datetime:
    """Just after the last commit."""
    time.sleep(0.002)
    return datetime.now(UTC)


def fill(lake: Lake, drops: int, *, first: int = 0) -> None:
    for number in range(first, first + drops):
        commit(lake, "rows", rows(number * 4, 4), source(f"{number}.parquet"))


def table(lake: Lake) -> Any:
    return lake.open("rows")


def stored(lake: Lake, cloud: Any) -> set[str]:
    bucket, folder = lake.names.platform.bucket("lake"), f"electricity/iceberg/{lake.names.table('rows')}/"
    listed = cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    return {f"s3://{bucket}/{entry['Key']}" for page in listed for entry in page.get("Contents", [])}


def test_snapshots_expire_the_oldest_first_some_at_a_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(expiry, "MOST", 4)
    fill(lake, 3)
    between = now()
    fill(lake, 4, first=3)
    there = [snapshot.snapshot_id for snapshot in table(lake).metadata.snapshots]
    assert oldest(lake, table(lake), between) == there[:2]
    assert expire(lake, "rows", before=between) == 2
    assert [snapshot.snapshot_id for snapshot in table(lake).metadata.snapshots] == there[2:], "one was current then"
    fill(lake, 4, first=7)
    assert expire(lake, "rows", before=now()) == 4, "two commits of two; the next day goes on"
    assert expire(lake, "rows", before=now()) == 4
    assert [entry.snapshot_id for entry in Journal.of(table(lake))][:7] == there


def test_of_two_expiries_at_once_one_begins_anew(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, 5)
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 3)
    stale = table(lake)
    until = now()
    assert expiry._remove(table(lake), oldest(lake, stale, until)[:2])
    assert not expiry._remove(stale, oldest(lake, stale, until)[2:]), "the other one's file would be lost"
    assert [entry.digest for entry in Journal.of(table(lake))] == [f"{number}.parquet" for number in range(5)]
    assert expire(lake, "rows", before=until) == 2
    assert [entry.digest for entry in Journal.of(table(lake))] == [f"{number}.parquet" for number in range(5)]


def test_a_version_that_is_pinned_during_an_expiry_stays(lake: Lake) -> None:
    fill(lake, 1)
    quiet = table(lake)
    fill(lake, 2, first=1)
    stale, until = table(lake), now()
    (first, _) = oldest(lake, stale, until)
    quiet.manage_snapshots().create_tag(first, "train-1").commit()
    assert not expiry._remove(stale, [first])
    assert expire(lake, "rows", before=until) == 1
    assert table(lake).snapshot_by_name("train-1").snapshot_id == first


def test_a_table_with_files_of_deletes_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 2)
    fill(lake, 2)
    monkeypatch.setattr(ManifestFile, "content", property(lambda _: ManifestContent.DELETES))
    with pytest.raises(SnapshotError, match="expected data files, found deletes"):
        compact(lake, "rows")


def test_a_new_file_takes_so_many_rows_and_bytes() -> None:
    def files(*sizes: tuple[int, int]) -> list[Any]:
        return [SimpleNamespace(record_count=rows, file_size_in_bytes=size) for rows, size in sizes]

    many, large = (600_000, 1), (1, 40 * 2**20)
    assert [len(group) for group in compaction.grouped(files(many, many, large, large, (1, 1)))] == [2, 2]


def test_files_of_a_table_with_fewer_columns_are_compacted(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 2)
    fill(lake, 1)
    assert compact(lake, "rows") == 0, "too few"
    fill(lake, 1, first=1)
    with table(lake).update_schema() as update:
        from pyiceberg.types import StringType

        update.add_column("remark", StringType())
    assert compact(lake, "rows") == 2
    assert committed(lake)["remark"].null_count == 8


def test_a_job_joins_what_is_there_yet_and_a_pinned_version_stays_as_it_is(
    lake: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle, begun again, committed twice; a drop was withdrawn meanwhile."""
    monkeypatch.setattr(compaction, "FILE_ROWS", 2)  # two drops of four rows become a file
    fill(lake, 6)
    version, staging, s3 = pin(lake, "before"), lake.names.lake_uri("staging", "night") + "/", cloud.client("s3")
    before = pinned_rows(lake)
    plan = CompactionPlan(metadata_location=table(lake).metadata_location, staging=staging)
    with pytest.raises(KeyboardInterrupt):
        compact_by_job(plan, InTurn(dies_at=2))
    result = compact_by_job(plan, InTurn())
    assert [*map(len, result.files.values())] == [2, 2, 2]
    withdraw(lake, "rows", "3.parquet", cause="person")
    assert [commit_job(lake, s3, staging + RESULT) for _ in range(2)] == [4, 0]
    assert sorted(task.file.record_count for task in table(lake).scan().plan_files()) == [4, 8, 8]
    assert committed(lake).num_rows == 20
    assert pinned(lake, "before") == version
    assert pinned_rows(lake).equals(before)
    until = now()
    expire(lake, "rows", before=until)
    delete_unreachable(lake, s3, "rows", before=until, grace=AT_ONCE)
    assert pinned_rows(lake).equals(before)
    assert stored(lake, cloud) == set(reachable(table(lake), until)), "without the file of the group that had left"


def pinned_rows(lake: Lake) -> pa.Table:
    iceberg = table(lake)
    return iceberg.scan(snapshot_id=iceberg.snapshot_by_name("before").snapshot_id).to_arrow().sort_by("timestamp")


def test_what_no_snapshot_names_is_deleted_once_it_is_old(
    lake: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 5)
    fill(lake, 6)
    withdraw(lake, "rows", "0.parquet", cause="person")
    compact(lake, "rows")
    fill(lake, 1, first=6)
    orphan = f"{table(lake).location()}/data/orphan.parquet"
    bucket, _, key = orphan.removeprefix("s3://").partition("/")
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"of a commit that lost")
    until = now()
    expire(lake, "rows", before=until)
    s3 = cloud.client("s3")
    everything = stored(lake, cloud)
    assert delete_unreachable(lake, s3, "rows", before=until) == 0, "younger than three days"
    assert stored(lake, cloud) == everything
    gone = delete_unreachable(lake, s3, "rows", before=until, grace=AT_ONCE)
    left = stored(lake, cloud)
    assert gone == len(everything) - len(left) > 0
    assert orphan not in left
    assert left == set(reachable(table(lake), until)), "nothing more, nothing less"
    assert len([uri for uri in left if "/data/" in uri]) == 2, "the compacted file and that of the last drop"
    assert committed(lake).num_rows == 24
    assert delete_unreachable(lake, s3, "rows", before=until, grace=AT_ONCE) == 0


def test_a_file_that_left_lately_stays(lake: Lake, cloud: Any) -> None:
    fill(lake, 2)
    (left, _) = [task.file.file_path for task in table(lake).scan().plan_files()]
    until = now()
    for number in range(2):
        withdraw(lake, "rows", f"{number}.parquet", cause="person")
    expire(lake, "rows", before=until)
    delete_unreachable(lake, cloud.client("s3"), "rows", before=until, grace=AT_ONCE)
    assert left in stored(lake, cloud)
    later = now()
    expire(lake, "rows", before=later)
    delete_unreachable(lake, cloud.client("s3"), "rows", before=later, grace=AT_ONCE)
    assert not [uri for uri in stored(lake, cloud) if "/data/" in uri], "withdrawn rows are nowhere"


def test_the_file_says_what_a_snapshot_says(lake: Lake) -> None:
    strange = 's3://landing/naïve "x"\n.csv?versionId=1'
    entry = JournalEntry(
        snapshot_id=5, place=2, committed_ms=7, notes={ORIGIN: strange, "added-records": "3", "operation": "append"}
    )
    content = Expired.parse(render([entry]) + render([]) + render([replace(entry, snapshot_id=6, notes={})]))
    read, later = content
    assert (later.snapshot_id, later.digest, later.uri) == (6, None, "")
    assert content.about(entry.key) == [read]
    assert content.about("x") == content.with_digest("x") == []
    assert (read.snapshot_id, read.place, read.committed_ms, read.rows_added, read.uri) == (5, 2, 7, 3, strange)
    assert "operation" not in read.notes


def test_an_expired_snapshot_is_found_by_a_key_of_any_kind() -> None:
    """The last mark in a URI is that of the version; a key that left or was withdrawn is a key as it is."""
    odd = "electricity/a.csv?versionId=x"
    said = [
        {ORIGIN: f"s3://landing/{odd}?versionId=1"},
        {ORIGIN: "s3://landing/electricity/a.csv?versionId=2", REPLACED: "electricity/a.csv"},
        {WITHDRAWN_DROP: odd},
        {ORIGIN: "s3://landing/electricity/a.csv?versionId=3"},
    ]
    entries = [JournalEntry(snapshot_id=at, place=at, committed_ms=0, notes=one) for at, one in enumerate(said)]
    expired = Expired.parse(render(entries))
    for key in (odd, "electricity/a.csv", "none"):
        assert expired.about(key) == [entry for entry in entries if key in entry.concerns]
    assert [entry.place for entry in expired.about(odd)] == [0, 2]


def version(drawn: random.Random, number: int) -> tuple[Source, pa.Table]:
    """A version of one of six objects: its bytes are one of twelve, its rows overlap those of others."""
    name, content = f"{drawn.randrange(6)}.csv", drawn.randrange(12)
    order = drawn.randrange(4)
    writer = drawn.choice([f"run-{number}", f"drop-{name}-{order}-{content}"])
    came = {"sequencer": f"00{order}" if drawn.random() < 0.8 else "", "arrived": datetime(1997, 6, 1, tzinfo=UTC)}
    own = {"digest": f"bytes-{content}", "written_by": writer}
    return source_of(name, f"{order}-{content}", **own, **came), rows(content * 3, 5)


def steps(drawn: random.Random, number_of: int) -> list[Callable[[Lake], object]]:
    """What happens to both."""
    made: list[Callable[[Lake], object]] = []
    for number in range(number_of):
        if drawn.random() < 0.12:
            key, cause = f"{drawn.randrange(6)}.csv", f"person-{drawn.randrange(3)}"
            made.append(lambda lake, key=key, cause=cause: withdraw(lake, "rows", key, cause=cause))
        else:
            source, given = version(drawn, number)
            made.append(lambda lake, source=source, given=given: commit(lake, "rows", given, source))
    return made


def keep_up(lake: Lake, s3: Any, drawn: random.Random) -> None:
    before = now()
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
    return committed(lake).sort_by([("timestamp", "ascending"), ("_source", "ascending")])


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
