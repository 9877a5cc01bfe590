"""The delivery function beside moto's lake: the state of a real run in, one Parquet file out."""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.artefact.batch import write_answers
from millrace.contract.load import load_contract
from millrace.contract.schema import parsed_schema
from millrace.decisions.record import to_line
from millrace.decisions.store import StoredDecisions, read_days
from millrace.functions.delivery.reviews import open_reviews
from millrace.state.reviews import ReviewQueue
from millrace.tasks.binary import Binary
from millrace.timestamps import parse_utc
from millrace.workload.policy import Review
from tests import builders
from tests.functions.conftest import Aws
from tests.millrace.state.conftest import NAMES, client

ROOT = Path(__file__).resolve().parents[3]
LAKE = "millrace-local-lake-123456789012-eu-west-1"
RUN = "5b5c7a4e1f"  # pragma: allowlist secret
DELIVERED = f"electricity/predictions/run={RUN}/part-00000.parquet"
DAYS = [date(1996, 5, 7), date(1996, 5, 8), date(1996, 5, 9)]
Deliver = Callable[[], dict[str, Any]]


@pytest.fixture
def second() -> dict[str, Any] | None:
    """Another drop of the run."""
    return None


@pytest.fixture
def deliver(aws: Aws, load: Any, event: Any, second: dict[str, Any] | None) -> Deliver:
    """The handler on a run of 100 rows in three shards."""
    run = event("delivery")
    if second is not None:
        run["state"]["validation"]["answer"]["drops"].append(second)
    put("accepted.parquet", accepted())
    for shard, (first, last) in enumerate([(0, 40), (40, 80), (80, 100)]):
        put(f"transformed/{shard:05d}.arrow.out", answers(first, last))
    handler = load("delivery")
    return lambda: handler(run)


def put(name: str, body: bytes) -> None:
    boto3.client("s3").put_object(
        Bucket=LAKE, Key=f"electricity/staging/{RUN}/{name}".replace(f"{RUN}/../", ""), Body=body
    )


def accepted() -> bytes:
    contract = load_contract(ROOT / "workloads" / "electricity").table("scoring")
    sample = pq.read_table(ROOT / "workloads" / "electricity" / "sample" / "elec2.parquet").slice(0, 100)
    rows = sample.select(contract.names).append_column("_line", pa.array(range(2, 102), pa.int64()))
    return builders.parquet(rows.cast(parsed_schema(contract)), row_group_size=30)


def answers(first: int, last: int, version: str = "3") -> bytes:
    numbers = pa.array(range(first + 2, last + 2), pa.int64())
    found = Binary().answers(np.full((last - first, 1), 0.25, np.float32))
    return write_answers(numbers, found, model_version=version, fields=Binary().answer)


def delivered() -> bytes:
    body: bytes = boto3.client("s3").get_object(Bucket=LAKE, Key=DELIVERED)["Body"].read()
    return body


def test_delivers_every_row_once(deliver: Deliver) -> None:
    assert deliver() == {
        "drops": [
            {
                "drop_id": RUN,
                "uri": f"s3://{LAKE}/{DELIVERED}",
                "rows": 100,
                "quarantined": 1,
                "reasons": {"type": 1},
                "unlisted": {},
                "unopened": 0,
            }
        ]
    }
    table = pq.read_table(io.BytesIO(delivered()), page_checksum_verification=True)
    assert table.column("row_number").to_pylist() == list(range(2, 102))
    assert set(table.column("probability").to_pylist()) == {0.25}
    assert table.column_names[-5:] == ["value", "probability", "confidence", "model_version", "row_number"]
    assert "class" not in table.column_names


def test_a_row_that_the_model_does_not_take_is_quarantined_and_the_others_are_delivered(deliver: Deliver) -> None:
    numbers, found = pa.array(range(2, 42), pa.int64()), Binary().answers(np.full((39, 1), 0.25, np.float32))
    told = {"column": "transfer", "expected": "a finite number of float32", "came": "null"}
    body = write_answers(numbers, found, model_version="3", fields=Binary().answer, rejected={7: told})
    put("transformed/00000.arrow.out", body)
    [drop] = deliver()["drops"]
    assert (drop["rows"], drop["quarantined"], drop["reasons"]) == (99, 2, {"type": 1, "model": 1})
    lake = boto3.client("s3")
    [key] = [one["Key"] for one in lake.list_objects_v2(Bucket=LAKE)["Contents"] if "/quarantine/" in one["Key"]]
    [row] = pq.read_table(io.BytesIO(lake.get_object(Bucket=LAKE, Key=key)["Body"].read())).to_pylist()
    assert row["line"] == 9
    assert "model" in str(row)
    assert told["expected"] in str(row)


def test_each_row_is_a_decision(deliver: Deliver) -> None:
    deliver()
    stored = read_days(boto3.client("s3"), LAKE, "electricity", DAYS)
    assert stored.unreadable == 0
    assert [one.id for one in stored.decisions] == [f"{RUN}-{line}" for line in range(2, 102)]
    row = pq.read_table(io.BytesIO(delivered())).slice(57, 1).to_pylist()[0]
    one = stored.decisions[57]
    assert one.output == {name: row[name] for name in ("value", "probability", "confidence")}
    assert (one.model_version, one.source, one.fallback) == ("3", "batch", False)
    assert one.key == {"timestamp": row["timestamp"].isoformat()}
    assert json.loads(one.input)["nswdemand"] == row["nswdemand"]


@pytest.mark.parametrize("puts", range(4))
def test_killed_anywhere_it_has_each_decision_once_when_it_is_repeated(deliver: Deliver, puts: int) -> None:
    """Killed at the first put, which is the file's, or at one of the three references."""
    handler = sys.modules["millrace.functions.delivery.handler"]
    left = itertools.count(-puts)

    def kill(**_: Any) -> None:
        if next(left) >= 0:
            raise InterruptedError

    def read() -> StoredDecisions:
        return read_days(boto3.client("s3"), LAKE, "electricity", DAYS)

    events = handler.S3.meta.events
    events.register("before-call.s3.PutObject", kill)
    with pytest.raises(InterruptedError):
        deliver()
    events.unregister("before-call.s3.PutObject", kill)
    killed = read()
    assert killed.unreadable == 0
    deliver()
    whole = read()
    assert [one.id for one in whole.decisions] == [f"{RUN}-{line}" for line in range(2, 102)]
    assert {*map(to_line, killed.decisions)} <= {*map(to_line, whole.decisions)}
    assert (len(killed.decisions) < 100) == (puts < 4)


SECOND = {"drop_id": "other", "as_of": "1997-01-01T08:00:00Z", "source": "s3://b/k?versionId=1", "source_digest": "d"}


@pytest.mark.parametrize("second", [SECOND | {"accepted": 20, "quarantined": 3, "first_shard": 3, "shards": 1}])
def test_each_drop_of_a_run_is_delivered_to_its_own_place(deliver: Deliver) -> None:
    put("../other/accepted.parquet", accepted())
    put("transformed/00003.arrow.out", answers(0, 100))
    found = {one["drop_id"]: (one["uri"], one["rows"], one["quarantined"]) for one in deliver()["drops"]}
    other = DELIVERED.replace(RUN, "other")
    assert found == {RUN: (f"s3://{LAKE}/{DELIVERED}", 100, 1), "other": (f"s3://{LAKE}/{other}", 100, 3)}
    assert boto3.client("s3").head_object(Bucket=LAKE, Key=other)["ContentLength"]


AT = parse_utc("1997-06-01T06:00:00Z")
DAY = date(1997, 6, 1)
__all__ = ["client"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    reasons = ["sure", "unsure", "paused", "above_bound", "unsure", "unsure"]
    rows = {
        "at": pa.array([AT.replace(hour=hour, tzinfo=None) for hour in range(6)], pa.timestamp("us")),
        "scan": pa.array([b"bytes"] * 6, pa.binary()),
        "value": pa.array([1] * 6, pa.int32()),
        "confidence": pa.array([0.5 + n / 100 for n in range(6)], pa.float64()),
        "model_version": pa.array(["3"] * 6),
        "row_number": pa.array(range(2, 8), pa.int64()),
        "action": pa.array(["automated", *["review"] * 5]),
        "reason": pa.array(reasons),
    }
    path = tmp_path / "delivered.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=2, write_page_checksum=True)
    return str(path)


@pytest.mark.parametrize(
    ("most", "opened"), [(10, ["x-5", "x-3", "x-6", "x-7", "x-4"]), (2, ["x-5", "x-3"])], ids=["all", "some"]
)
def test_the_first_by_priority_are_opened_and_the_others_counted(
    client: Any, file: str, most: int, opened: list[str]
) -> None:
    queue = ReviewQueue(client, NAMES)
    known = builders.scored_day(rows=6, inferred_at=AT, key=("at",), beside=("action", "reason"))
    given: dict[str, Any] = {"workload": "electricity", "drop_id": "x", "review": Review(), "opened_at": AT}
    assert open_reviews(queue, file, {DAY: known}, most=most, **given) == 5 - len(opened)
    found = queue.waiting(most=9, now=AT)
    assert [item.id for item in found] == opened
    assert [item.source for item in found] == ["batch"] * len(opened)
    assert '"scan"' not in found[0].input
    assert found[0].event_time.isoformat() == "1997-06-01T03:00:00+00:00"
