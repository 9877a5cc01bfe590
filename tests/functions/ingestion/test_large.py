"""A drop that is too large for a function: planned, judged by a job, committed once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from millrace.datasets.bulk.run import judge
from millrace.datasets.tables import Lake
from millrace.errors import TableMovedError
from millrace.messages.bulk import BulkPlan
from tests.functions.ingestion.conftest import Ingest
from tests.millrace.datasets.test_bulk import InTurn


@pytest.fixture
def large(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Drops bytes of more than a mebibyte in a stage with `bulk`; the payload behind the first call of ingestion."""
    monkeypatch.setenv("MILLRACE_BULK_MB", "1")
    bucket = ingest.names.platform.bucket("landing")
    ingest.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def drop(name: str, body: bytes, **more: str) -> dict[str, Any]:
        payload = ingest.drop("training", name, body)
        del payload["state"]["detail"]["objects"][0]["version_id"]
        payload["state"]["detail"]["objects"][0] |= more
        assert ingest.call("ingestion", payload)["outcome"] == "bulk"
        return payload

    return drop


def job(ingest: Ingest, payload: dict[str, Any]) -> None:
    bucket, _, key = payload["state"]["ingestion"]["answer"]["plan"].removeprefix("s3://").partition("/")
    plan = BulkPlan.model_validate_json(ingest.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    judge(plan.model_copy(update={"range_bytes": 400_000}), InTurn())


def as_csv(rows: pa.Table, size: int = 2**20) -> bytes:
    from pyarrow import csv

    csv.write_csv(rows, sink := io.BytesIO())
    return sink.getvalue() + b"\n" * max(0, size + 1 - len(sink.getvalue())) + b"1,2\n"


def test_it_is_committed_once_and_its_bytes_are_known_afterwards(
    ingest: Ingest, lake: Lake, large: Any, sample: pa.Table
) -> None:
    body = as_csv(sample.slice(0, 10_000))
    payload = large("all.csv", body)
    job(ingest, payload)
    told = ingest.step("ingestion", payload)
    assert (told["outcome"], told["rows"], told["unparsable"]) == ("parsed", 10_000, 1)
    done = ingest.step("validation", payload)
    assert (done["rows_accepted"], done["rows_quarantined"], done["reasons"]) == (10_000, 1, {"columns": 1})
    table = lake.find("rows")
    assert table
    assert (len(table.snapshots()), len(table.inspect.files()) > 1) == (1, True)
    assert len(ingest.quarantined()) == 1
    assert ingest.step("validation", payload) == done
    again = large("again.csv", body)
    job(ingest, again)
    ingest.call("ingestion", again)
    assert ingest.step("validation", again)["duplicate"] is True


def test_it_is_judged_again_if_the_table_has_got_a_key_of_it_since(
    ingest: Ingest, large: Any, sample: pa.Table
) -> None:
    payload = large("all.csv", as_csv(sample.slice(0, 10_000)))
    job(ingest, payload)
    ingest.call("ingestion", payload)
    # Rows of other keys move nothing, rows of its own keys do.
    assert ingest.run("training", "later.csv", as_csv(sample.slice(10_000, 10), size=0))["rows_accepted"] == 10
    stale = json.loads(json.dumps(payload))
    assert ingest.call("ingestion", payload)["outcome"] == "parsed"
    assert ingest.run("training", "before.csv", as_csv(sample.slice(5, 10), size=0))["rows_accepted"] == 10
    with pytest.raises(TableMovedError):
        ingest.step("validation", stale)
    assert ingest.call("ingestion", payload)["outcome"] == "bulk"
    job(ingest, payload)
    ingest.call("ingestion", payload)
    done = ingest.step("validation", payload)
    assert (done["rows_accepted"], done["reasons"]) == (9_990, {"duplicate_key": 10, "columns": 1})


def test_a_later_version_replaces_its_rows(ingest: Ingest, large: Any, sample: pa.Table) -> None:
    for sequencer, rows, replaced in (("0A", 10_000, 0), ("0B", 9_000, 10_000)):
        payload = large("all.csv", as_csv(sample.slice(0, rows)), sequencer=sequencer, drop_id=f"d{sequencer}")
        job(ingest, payload)
        ingest.call("ingestion", payload)
        done = ingest.step("validation", payload)
        assert (done["rows_accepted"], done["rows_replaced"], done["rows_total"]) == (rows, replaced, rows)


def test_one_that_cannot_become_rows_is_rejected_whole(ingest: Ingest, large: Any) -> None:
    payload = large("all.csv", b"a,b\n" + b"1,2\n" * 300_000)
    job(ingest, payload)
    told = ingest.step("ingestion", payload)
    assert (told["outcome"], told["reason"], len(told["source_digest"])) == ("rejected", "foreign", 64)
    assert [row["reason"] for row in ingest.quarantined()] == ["foreign"]
