"""The tables after a night: as many rows, fewer files, fewer snapshots."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from millrace.datasets import compaction
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from millrace.decisions import absorption
from millrace.decisions.record import object_key, to_line
from millrace.errors import SnapshotError
from tests.builders import parquet
from tests.functions.ingestion.conftest import EVENTS
from tests.functions.ingestion.test_ingest import month
from tests.millrace.datasets.test_commits import source
from tests.millrace.datasets.test_split import with_column
from tests.millrace.decisions.test_record import DECISION
from tests.state_table import create_table


def called(after: timedelta) -> dict[str, Any]:
    """The call of a night so long after what happens in the test."""
    document: dict[str, Any] = json.loads((EVENTS / "upkeep.json").read_text())
    document["state"]["as_of"] = (datetime.now(UTC) + after).isoformat()
    return document


@pytest.fixture
def night() -> dict[str, Any]:
    return called(timedelta(days=8))


def test_a_night_leaves_the_rows_and_little_else(
    ingest: Any, load: Any, lake: Lake, sample: pa.Table, night: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 3)
    bodies = {f"{number}.parquet": parquet(month(sample, 1996, number)) for number in (5, 6, 7)}
    for name, body in bodies.items():
        ingest.run("training", name, body)
    found = lake.find("rows")
    before = found.scan().to_arrow()
    handler = load("upkeep")
    rows, labels = (first := handler(called(timedelta(days=6))))["tables"]
    assert (rows["table"], labels["table"]) == ("electricity_rows", "electricity_labels")
    assert (rows["compacted"], rows["expired"], rows["deleted"]) == (3, 0, 0), "no snapshot is a week old"
    assert (labels["compacted"], labels["expired"], labels["deleted"]) == (0, 0, 0), "no label has come"
    found = lake.find("rows")
    assert (len(list(found.scan().plan_files())), len(found.metadata.snapshots)) == (1, 4)
    assert found.scan().to_arrow().equals(before.sort_by("timestamp")), "in the order of their commits"
    again = ingest.run("training", "again.parquet", bodies["5.parquet"])
    assert again["duplicate"], "the same bytes are known"
    second = handler(night)
    assert [*second["tables"][0].values()][1:] == [0, 4, 0], "the files are younger than three days"
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_night_absorbs_the_lines_of_the_days_before(load: Any, ingest: Any, night: dict[str, Any]) -> None:
    bucket, handler = ingest.names.platform.bucket("lake"), load("upkeep")
    for number in range(absorption.FEWEST):
        key = object_key("electricity", DECISION.event_time.date(), [str(number)])
        ingest.s3.put_object(Bucket=bucket, Key=key, Body=to_line(DECISION).encode() + b"\n")
    assert handler(night)["decisions"] == {"files": 1, "rows": 4, "deleted": 0, "waiting_bytes": 0}
    assert handler(called(timedelta(days=9)))["decisions"]["deleted"] == 4


def test_calls_go_on_until_no_line_is_left(
    load: Any, ingest: Any, night: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a call can do nothing, which would be so for ever."""
    handler, line = load("upkeep"), to_line(DECISION).encode() + b"\n"
    for number, day in product(range(absorption.FEWEST), range(3)):
        key = object_key("electricity", DECISION.event_time.date() - timedelta(days=day), [str(number)])
        ingest.s3.put_object(Bucket=ingest.names.platform.bucket("lake"), Key=key, Body=line)
    monkeypatch.setattr(absorption, "MOST_BYTES", 1)
    assert handler(night)["has_more"] is False
    monkeypatch.setattr(absorption, "MOST_BYTES", absorption.FEWEST * len(line))
    done = [handler(night) for _ in range(3)]
    assert [(one["decisions"]["files"], one["has_more"]) for one in done] == [(1, True), (1, True), (1, False)]


def test_a_person_has_the_rows_in_other_types(
    ingest: Any, load: Any, lake: Lake, sample: pa.Table, cloud: Any, night: dict[str, Any], monkeypatch: Any
) -> None:
    client, table = cloud.client("dynamodb"), ingest.names.platform.audit_table
    create_table(client, table)
    words = pa.array(["much", *map(str, sample["vicprice"].slice(1, 47).to_pylist())])
    rows = sample.slice(0, 48).set_column(sample.column_names.index("vicprice"), "vicprice", words)
    before = with_column(lake, "vicprice", kind="string", rules=())
    commit(before, "rows", rows.append_column("_line", pa.array(range(48))), source("a"))
    handler, asked = load("upkeep"), {"is_rewriting": True, "reason": "they are numbers"}
    monkeypatch.setattr(sys.modules["millrace.functions.upkeep.handler"], "asker", lambda *_: "user/ann")
    for is_preview in (True, False):
        night["state"] |= {**asked, "is_preview": is_preview}
        done = handler(night)
        assert done["rewritten"] == [{"table": "rows", "columns": ["vicprice"], "rows": 47, "reasons": [["type", 1]]}]
        assert (len(ingest.quarantined()), client.scan(TableName=table)["Count"]) == ((0, 0) if is_preview else (1, 1))
    [record] = client.scan(TableName=table)["Items"]
    assert json.loads(record["details"]["S"]) == {
        "by": "user/ann",
        "reason": asked["reason"],
        "tables": done["rewritten"],
    }


def test_a_step_that_fails_holds_up_no_other(
    ingest: Any, load: Any, sample: pa.Table, night: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (5, 6):
        ingest.run("training", f"{number}.parquet", parquet(month(sample, 1996, number)))
    handler, seen = load("upkeep"), []

    def broken(_: Lake, __: Any, table: str, **___: Any) -> int:
        seen.append(table)
        raise SnapshotError("expected data files, found deletes")

    module = sys.modules["millrace.functions.upkeep.handler"]
    monkeypatch.setattr(module, "delete_unreachable", broken)
    monkeypatch.setattr(module, "compact", lambda _, table: seen.append(table) or 0)
    with pytest.raises(SnapshotError, match="found deletes"):
        handler(night)
    assert seen == ["rows", "rows", "labels", "labels"]
