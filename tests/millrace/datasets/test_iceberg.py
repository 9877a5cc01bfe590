"""What a process asks S3 for a table's files of metadata: each once, if it is small."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.install import Throttles
from millrace.datasets import iceberg, versions
from millrace.datasets.commits import commit
from millrace.datasets.expiry import expire
from millrace.datasets.iceberg import LONGEST_KEPT_BYTES, KeptFiles
from millrace.datasets.read import read_snapshot
from millrace.datasets.tables import Lake
from millrace.datasets.versions import manifest, pin, pinned
from millrace.errors import SnapshotError
from tests.localcloud.resources import allow, make_role
from tests.millrace.datasets.test_commits import committed, rows, source

METADATA = "s3://lake/table/metadata/"


@pytest.fixture
def read(lake: Lake) -> Iterator[Counter[str]]:
    """How often each key is asked for, beginning as a new process does."""
    found: Counter[str] = Counter()

    def count(params: dict[str, Any], **_: Any) -> None:
        found[params["Key"]] += 1

    iceberg._kept.cache_clear()
    events = iceberg.s3_client().meta.events
    events.register("provide-client-params.s3.GetObject", count)
    yield found
    events.unregister("provide-client-params.s3.GetObject", count)


def test_a_file_of_metadata_is_fetched_once(lake: Lake, read: Counter[str]) -> None:
    for number in range(3):
        commit(lake, "rows", rows(48 * number), source(f"{number}.parquet"))
    assert not [key for key in read if "/metadata/" in key], "the process has written them"
    iceberg._kept.cache_clear()
    for _ in range(2):
        assert committed(lake).num_rows == 3 * 48
    metadata = {key: times for key, times in read.items() if "/metadata/" in key}
    assert len(metadata) == 1 + 1 + 3, "the metadata, the list of manifests, three manifests"
    assert set(metadata.values()) == {1}


def test_rows_are_not_kept(lake: Lake, read: Counter[str]) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    for _ in range(2):
        committed(lake)
    assert [times for key, times in read.items() if "/data/" in key] == [2]


def test_a_deleted_file_is_not_read_any_more(lake: Lake, read: Counter[str]) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    table = lake.find("rows")
    assert table is not None
    table.io.delete(table.metadata_location)
    with pytest.raises(FileNotFoundError):
        table.io.new_input(table.metadata_location).open()


def test_a_large_file_is_not_kept() -> None:
    kept = KeptFiles(most_bytes=2 * LONGEST_KEPT_BYTES)
    kept.keep(f"{METADATA}a", b"a" * (LONGEST_KEPT_BYTES + 1))
    assert kept.get(f"{METADATA}a") is None


BURST = 3


@pytest.fixture
def throttle(
    cloud: Cloud, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, int]], Throttles]]:
    """`throttle({"glue:GetTable": 3})`: the next so many calls of the lake are refused; it has a function's keys."""
    arn = make_role(cloud.client("iam"), lake.names.platform.stage, "lambda", allow("*"))
    for key, value in cloud.role_environment(arn, "throttled").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # one of another file has that file's keys
    throttles = cloud.part(Throttles)

    def begin(calls: dict[str, int]) -> Throttles:
        throttles.throttle(calls)
        return throttles

    yield begin
    throttles.throttle({})


@pytest.mark.parametrize("call", ["GetTable", "CreateTable", "UpdateTable"])
def test_a_drop_survives_throttles_in_a_row(call: str, lake: Lake, throttle: Any, waits: list[float]) -> None:
    throttles = throttle({f"glue:{call}": BURST})
    result = commit(lake, "rows", rows(0), source("a.parquet"))
    assert (result.rows_added, committed(lake).num_rows) == (48, 48)
    assert throttles.refused == {f"glue:{call}": BURST}
    assert len(waits) == BURST, "by botocore, not by an attempt that reads the table again"


def test_throttles_without_end_are_an_error(lake: Lake, throttle: Any, waits: list[float]) -> None:
    throttle({"glue:GetTable": 100})
    with pytest.raises(ClientError, match="ThrottlingException"):
        lake.find("rows")
    assert sum(waits) < 120, "within the time of a function"


def lose(lake: Lake, operation: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Glue does the next call of `operation`, and its answer does not arrive; the calls of it since."""
    http, seen = lake.catalog.glue._endpoint.http_session, []
    send = http.send

    def send_and_lose(request: Any) -> Any:
        answer = send(request)
        if request.headers["X-Amz-Target"].decode().endswith(f".{operation}"):
            seen.append(operation)
            if len(seen) == 1:
                raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    monkeypatch.setattr(http, "send", send_and_lose)
    return seen


def test_a_commit_whose_answer_is_lost_is_not_sent_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    """Sent again it would look like another writer's, and pyiceberg deletes the manifests of a commit that has lost."""
    commit(lake, "rows", rows(0), source("a.parquet"))
    sent = lose(lake, "UpdateTable", monkeypatch)
    late = commit(lake, "rows", rows(48), source("b.parquet"))
    assert (late.rows_added, late.rows_total) == (48, 96)
    assert committed(lake).num_rows == 96, "every manifest is still there"
    assert (len(sent), waits) == (1, [])


def test_a_table_whose_creation_was_not_answered_is_there(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    sent = lose(lake, "CreateTable", monkeypatch)
    assert commit(lake, "rows", rows(0), source("a.parquet")).rows_total == committed(lake).num_rows == 48
    assert len(sent) == 2


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
