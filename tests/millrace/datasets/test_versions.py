"""A pinned dataset version stays what it was, whatever is committed later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.datasets import versions
from millrace.datasets.commits import commit
from millrace.datasets.expiry import expire
from millrace.datasets.read import read_snapshot
from millrace.datasets.tables import Lake
from millrace.datasets.versions import manifest, pin, pinned
from millrace.errors import SnapshotError
from tests.millrace.datasets.test_commits import rows, source


def test_a_pin_is_the_snapshot_of_its_moment(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    first = commit(lake, "rows", rows(0), source("a.parquet"))
    commit(lake, "rows", rows(48), source("b.parquet"))
    version = pin(lake, "run-1")
    assert (version.rows, version.tag) == (96, "run-1")
    assert version.snapshot_id != first.snapshot_id
    commit(lake, "rows", rows(96), source("c.parquet"))
    assert pin(lake, "run-1") == pinned(lake, "run-1") == version, "asked again, the same"
    assert pin(lake, "run-2").rows == 144


def test_the_manifest_names_the_files_and_a_job_reads_their_rows(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    commit(lake, "rows", rows(48), source("b.parquet"))
    version = pin(lake, "run-1")
    head, *files = json.loads(version.manifest)
    bucket = lake.names.platform.bucket("lake")
    assert head == {"prefix": f"s3://{bucket}/"}
    assert len(files) == 2
    for number, key in enumerate(files):
        cloud.client("s3").download_file(bucket, key, str(tmp_path / f"{number}.parquet"))
    (tmp_path / "schema.json").write_text(version.schema)
    table = read_snapshot(
        tmp_path, tmp_path / "schema.json", columns=["nswprice", "class"], event_time="timestamp", key=["timestamp"]
    )
    assert table.num_rows == 96


def test_the_data_digest_follows_the_content_not_the_file_names(lake: Lake, names: Any) -> None:
    digests = []
    for content in ("a", "a", "b"):
        own = Lake(names, lake.contract)
        if own.find("rows") is not None:
            own.catalog.drop_table((names.platform.database, names.table("rows")))
        commit(own, "rows", rows(0), source("a.parquet", content))
        digests.append(pin(own, "run").data_digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_snapshot_that_expires_before_its_tag_is_in_is_not_pinned(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another drop came, and the night's expiry after it: the newer snapshot is pinned."""
    commit(lake, "rows", rows(0), source("a.parquet"))
    attempt = versions.try_commit

    def attempt_late(transaction: Any) -> bool:
        monkeypatch.setattr(versions, "try_commit", attempt)
        commit(lake, "rows", rows(48), source("b.parquet"))
        expire(lake, "rows", before=datetime.now(UTC) + timedelta(days=1))
        return attempt(transaction)

    monkeypatch.setattr(versions, "try_commit", attempt_late)
    assert pin(lake, "run").rows == 96


def test_an_empty_table_cannot_be_pinned(lake: Lake) -> None:
    with pytest.raises(SnapshotError, match="expected rows to pin"):
        pin(lake, "run")
    commit(lake, "rows", rows(0, 0), source("a.parquet"))
    with pytest.raises(SnapshotError, match="expected data files"):
        pin(lake, "run")


def test_delete_files_are_refused() -> None:
    task = SimpleNamespace(file=SimpleNamespace(file_path="x", record_count=1), delete_files=["y"])
    iceberg: Any = SimpleNamespace(scan=lambda snapshot_id: SimpleNamespace(plan_files=lambda: [task]))
    with pytest.raises(SnapshotError, match="expected no delete files, found 1"):
        versions._data_files(iceberg, 1)


def test_files_of_two_buckets_have_no_manifest() -> None:
    with pytest.raises(SnapshotError, match="expected files in s3://a/"):
        manifest(["s3://a/x", "s3://b/y"])
