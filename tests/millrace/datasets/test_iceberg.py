"""What a process asks S3 for a table's files of metadata: each once, if it is small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from millrace.datasets import iceberg
from millrace.datasets.commits import commit
from millrace.datasets.iceberg import LONGEST_KEPT_BYTES, KeptFiles
from millrace.datasets.tables import Lake
from tests.millrace.datasets.test_commits import committed, rows, source

METADATA = "s3://lake/table/metadata/"


@pytest.fixture
def read(lake: Lake) -> Iterator[Counter[str]]:
    """How often each key is asked for, beginning as a new process does."""
    found: Counter[str] = Counter()

    def count(params: dict[str, Any], **_: Any) -> None:
        found[params["Key"]] += 1

    iceberg._kept.cache_clear()
    events = iceberg._client().meta.events
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


def test_the_file_that_was_used_longest_ago_goes_first() -> None:
    kept = KeptFiles(most_bytes=100)
    kept.keep(f"{METADATA}a", b"a" * 40)
    kept.keep(f"{METADATA}b", b"b" * 40)
    assert kept.get(f"{METADATA}a") == b"a" * 40
    kept.keep(f"{METADATA}c", b"c" * 40)
    assert [kept.get(f"{METADATA}{name}") is not None for name in "abc"] == [True, False, True]


def test_a_large_file_is_not_kept() -> None:
    kept = KeptFiles(most_bytes=2 * LONGEST_KEPT_BYTES)
    kept.keep(f"{METADATA}a", b"a" * (LONGEST_KEPT_BYTES + 1))
    assert kept.get(f"{METADATA}a") is None
