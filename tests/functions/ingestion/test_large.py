"""A drop that is too large for a function: planned, judged by a job, committed once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.aws.objects import key_of_version, read_object, split_uri
from millrace.datasets.bulk import result
from millrace.datasets.bulk.run import judge
from millrace.datasets.tables import Lake
from millrace.errors import TableMovedError
from millrace.messages.bulk import MOST_ROUNDS, BulkPlan
from millrace.state.budget import MonthlyBudget
from millrace.state.table import StateTable
from tests.functions.ingestion.conftest import Ingest
from tests.functions.ingestion.test_ingest import csv
from tests.millrace.datasets.test_bulk import InTurn

ROWS = 15_000
"""More than a mebibyte."""
Meanwhile = Callable[[BulkPlan], object]


@pytest.fixture
def large(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Drops bytes in a stage with `bulk`, which a job judges; the payload behind the second call of ingestion."""
    monkeypatch.setenv("MILLRACE_BULK_MB", "1")
    bucket = ingest.names.platform.bucket("landing")
    ingest.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def drop(name: str, body: bytes, meanwhile: Meanwhile = lambda _: None, **more: str) -> dict[str, Any]:
        payload = ingest.drop("training", name, body)
        del payload["state"]["detail"]["objects"][0]["version_id"]
        payload["state"]["detail"]["objects"][0] |= more
        return judged(ingest, payload, meanwhile)

    return drop


def judged(ingest: Ingest, payload: dict[str, Any], meanwhile: Meanwhile = lambda _: None) -> dict[str, Any]:
    told = ingest.call("ingestion", payload)
    assert told["outcome"] == "bulk"
    plan = BulkPlan.model_validate_json(read_object(ingest.s3, told["plan"]))
    meanwhile(plan)
    judge(plan.model_copy(update={"range_bytes": 400_000}), InTurn())
    ingest.call("ingestion", payload)
    return payload


def test_it_is_committed_once_and_its_bytes_are_known_afterwards(
    ingest: Ingest, lake: Lake, large: Any, sample: pa.Table
) -> None:
    body = csv(sample.slice(0, ROWS)) + b"1,2\n"
    done = ingest.step("validation", payload := large("all.csv", body))
    assert (done["rows_accepted"], done["rows_quarantined"], done["reasons"]) == (ROWS, 1, {"columns": 1})
    table = lake.open("rows")
    assert (len(table.snapshots()), len(table.inspect.files()) > 1) == (1, True)
    assert len(ingest.quarantined()) == 1
    assert ingest.step("validation", payload) == done
    assert ingest.step("validation", large("again.csv", body))["duplicate"] is True


def test_it_is_judged_again_if_the_table_has_got_a_key_of_it_since(
    ingest: Ingest, large: Any, sample: pa.Table
) -> None:
    payload = large("all.csv", csv(sample.slice(0, ROWS)))
    # Rows of other keys move nothing, rows of its own keys do.
    assert ingest.run("training", "later.csv", csv(sample.slice(ROWS, 10)))["rows_accepted"] == 10
    assert ingest.call("ingestion", payload)["outcome"] == "parsed"
    assert ingest.run("training", "before.csv", csv(sample.slice(5, 10)))["rows_accepted"] == 10
    with pytest.raises(TableMovedError):
        ingest.step("validation", payload)
    done = ingest.step("validation", judged(ingest, payload))
    assert (done["rows_accepted"], done["reasons"]) == (ROWS - 10, {"duplicate_key": 10})


def test_a_table_that_moves_each_time_ends_in_a_refusal(ingest: Ingest, large: Any, sample: pa.Table) -> None:
    payload = large("all.csv", csv(sample.slice(0, ROWS)))
    for number in range(MOST_ROUNDS):
        ingest.run("training", f"{number}.csv", csv(sample.slice(number, 1)))
        judged(ingest, payload)
    ingest.run("training", "last.csv", csv(sample.slice(ROWS - 1, 1)))
    told = ingest.step("ingestion", payload)
    assert (told["outcome"], told["reason"]) == ("rejected", "busy")


def test_one_that_is_deleted_while_it_is_judged_is_rejected(ingest: Ingest, large: Any, sample: pa.Table) -> None:
    def delete(plan: BulkPlan) -> None:
        bucket, key = split_uri(plan.source)
        ingest.s3.delete_object(Bucket=bucket, Key=key_of_version(plan.source), VersionId=key.rpartition("=")[2])

    told = ingest.step("ingestion", large("all.csv", csv(sample.slice(0, ROWS)), delete))
    assert (told["outcome"], told["reason"]) == ("rejected", "missing")


@pytest.mark.usefixtures("large")
def test_one_for_which_the_month_has_no_money_is_rejected(ingest: Ingest, cloud: Cloud, sample: pa.Table) -> None:
    budget = MonthlyBudget(StateTable(cloud.client("dynamodb"), ingest.names))
    payload = ingest.drop("training", "all.csv", csv(sample.slice(0, ROWS)))
    del payload["state"]["detail"]["objects"][0]["version_id"]
    at = datetime.fromisoformat(payload["state"]["as_of"])
    assert budget.reserve(10_000, arn="other", as_of=at, monthly_usd=10_000)
    told = ingest.step("ingestion", payload)
    assert (told["outcome"], told["reason"]) == ("rejected", "budget")


def test_a_result_whose_files_upkeep_may_delete_does_not_hold(
    ingest: Ingest, large: Any, sample: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = large("all.csv", csv(sample.slice(0, ROWS)))
    monkeypatch.setattr(result, "LIFE", timedelta(0))
    with pytest.raises(TableMovedError):
        ingest.step("validation", payload)
    assert ingest.call("ingestion", payload)["outcome"] == "bulk"


def test_a_later_version_replaces_its_rows(ingest: Ingest, large: Any, sample: pa.Table) -> None:
    for sequencer, rows, replaced in (("0A", ROWS, 0), ("0B", ROWS - 9, ROWS)):
        payload = large("all.csv", csv(sample.slice(0, rows)), sequencer=sequencer, drop_id=f"d{sequencer}")
        done = ingest.step("validation", payload)
        assert (done["rows_accepted"], done["rows_replaced"], done["rows_total"]) == (rows, replaced, rows)


def test_one_that_cannot_become_rows_is_rejected_whole(ingest: Ingest, large: Any) -> None:
    told = ingest.step("ingestion", large("all.csv", b"a,b\n" + b"1,2\n" * 300_000))
    assert (told["outcome"], told["reason"], len(told["source_digest"])) == ("rejected", "foreign", 64)
    assert [row["reason"] for row in ingest.quarantined()] == ["foreign"]
