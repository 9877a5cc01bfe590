"""A row, or a whole drop, is taken out again: later versions are without it, earlier ones as they were."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.datasets.commits import commit, rows_in
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.datasets.withdrawal import by_drop, by_key, withdraw
from millrace.errors import WithdrawalError
from tests.millrace.datasets.test_commits import committed, rows, source


def moment(lake: Lake, place: int) -> str:
    at = rows(0)["timestamp"][place].as_py()
    return str(at.isoformat())


def test_a_row_is_gone_from_the_next_version_and_in_the_one_before(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    before = pin(lake, "before")
    cells = by_key(lake, {"timestamp": moment(lake, 3)})
    assert withdraw(lake, "rows", cells, run="r") == 1
    assert withdraw(lake, "rows", cells, run="r") == 1, "a retry says the same"
    after = pin(lake, "after")
    assert (before.rows, after.rows) == (48, 47)
    assert before.data_digest != after.data_digest
    expected = rows(0).drop_columns(["_line"])
    found = committed(lake).drop_columns(["_source"]).sort_by("timestamp")
    assert found["timestamp"].to_pylist() == [at for n, at in enumerate(expected["timestamp"].to_pylist()) if n != 3]
    iceberg = lake.find("rows")
    assert iceberg is not None
    assert iceberg.scan(snapshot_id=before.snapshot_id).to_arrow().num_rows == 48
    assert withdraw(lake, "rows", cells, run="another") == 0


def test_a_drop_is_gone_its_bytes_stay_out_and_its_keys_may_come_anew(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("bad.parquet"))
    commit(lake, "rows", rows(48), source("good.parquet"))
    assert withdraw(lake, "rows", by_drop("bad.parquet"), run="r") == 48
    assert set(committed(lake)["_source"].to_pylist()) == {"good.parquet"}
    again = commit(lake, "rows", rows(0), source("again.parquet", digest="bad.parquet"))
    assert (again.rows_added, rows_in(lake.open("rows"))) == (0, 48), "the same bytes"
    assert again.is_withdrawn
    good = commit(lake, "rows", rows(48), source("copy.parquet", digest="good.parquet"))
    assert (good.alias_of, good.is_withdrawn) == ("s3://landing/good.parquet?versionId=1", False)
    assert commit(lake, "rows", rows(0), source("mended.parquet")).rows_added == 48


def test_a_table_that_is_not_there_or_has_no_such_row_is_not_touched(lake: Lake) -> None:
    assert withdraw(lake, "labels", by_drop("x"), run="r") == 0
    commit(lake, "rows", rows(0), source("a.parquet"))
    snapshot = lake.open("rows").metadata.current_snapshot_id
    assert withdraw(lake, "rows", by_drop("x"), run="r") == 0
    assert lake.open("rows").metadata.current_snapshot_id == snapshot


@pytest.mark.parametrize("key", [{}, {"day": 1}, {"timestamp": 5}, {"timestamp": "soon"}, {"timestamp": "x", "day": 1}])
def test_what_is_no_key_is_refused(key: dict[str, Any], lake: Lake) -> None:
    with pytest.raises(WithdrawalError, match="expected"):
        by_key(lake, key)
