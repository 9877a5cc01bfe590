"""New rows of a table, from its metadata: what was dropped since a run pinned its snapshot."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import pytest

from millrace.datasets import journal
from millrace.datasets.journal import JOURNAL, JournalEntry, render
from millrace.datasets.notes import COMPACTED, LABELS_SNAPSHOT, UNLABELLED
from millrace.functions.guard.label_count import count_new_rows

if TYPE_CHECKING:
    from tests.functions.conftest import Aws


def written(
    aws: Aws,
    snapshots: list[dict[str, Any]],
    refs: dict[str, Any],
    expired: Container[int] = (),
    *,
    lies_ahead: bool = True,
) -> int:
    """New rows since the run `r1`, of a table with these snapshots, each after the one before it."""
    uri = aws.names.lake_uri("iceberg", aws.names.table("rows"), "metadata", "00001.metadata.json")
    chain = [
        {
            "snapshot-id": number,
            "sequence-number": number + 1,
            "timestamp-ms": 0,
            "summary": {name: str(value) for name, value in summary.items()},
        }
        for number, summary in enumerate(snapshots)
    ]
    gone = [JournalEntry.parse(each) for each in chain if each["snapshot-id"] in expired]
    aws.put(f"{uri}-journal", render(gone))
    document = {
        "current-snapshot-id": len(chain) - 1,
        "snapshots": [each for each in chain if each["snapshot-id"] not in expired],
        "refs": refs,
        "properties": {JOURNAL: f"{uri}-journal"},
    }
    journal._KNOWN.clear()
    aws.put(uri, json.dumps(document))
    database = aws.names.platform.database
    aws.glue.create_database(DatabaseInput={"Name": database})
    table = {"Name": aws.names.table("rows"), "Parameters": {"metadata_location": uri}}
    aws.glue.create_table(DatabaseName=database, TableInput=table)
    named = {"database": database, "table": table["Name"]}
    return count_new_rows(aws.glue, aws.s3, **named, runs=["r1", "r2"], lies_ahead=lies_ahead)


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ([], 0),
        ([{"added-records": 700}, {"added-records": 24}], 724),
        ([{"added-records": 700}, {"added-records": 24, LABELS_SNAPSHOT: 7}], 700),
        ([{"operation": "replace"}, {"added-records": 9}], 9),
        ([{"added-records": 700}, {"added-records": 18_244, COMPACTED: 3}], 700),
    ],
    ids=["none", "two drops", "rows that labels completed are counted with these", "no rows in a snapshot", "files"],
)
def test_what_was_dropped_since_the_pinned_snapshot(aws: Aws, more: list[dict[str, Any]], rows: int) -> None:
    before = [{"added-records": 17_000}, {"added-records": 544}]
    assert written(aws, [*before, *more], {"r1": {"snapshot-id": 1, "type": "tag"}}) == rows


@pytest.mark.parametrize(("lies_ahead", "rows"), [(True, 724), (False, 690)])
def test_a_row_without_its_label_is_a_label_only_where_labels_lie_ahead(aws: Aws, lies_ahead: bool, rows: int) -> None:
    drops = [{"added-records": 544}, {"added-records": 700, UNLABELLED: 34}, {"added-records": 24}]
    refs = {"r1": {"snapshot-id": 0, "type": "tag"}}
    assert written(aws, drops, refs, lies_ahead=lies_ahead) == rows


def test_a_drop_whose_snapshot_has_expired_is_counted(aws: Aws) -> None:
    drops = [{"added-records": number} for number in (17_000, 544, 700, 24, 1)]
    assert written(aws, drops, {"r1": {"snapshot-id": 1, "type": "tag"}}, expired={0, 2, 3}) == 725


@pytest.mark.parametrize("newer", ["r1", "r2-0-1"])
def test_of_two_runs_the_newer_snapshot_counts(aws: Aws, newer: str) -> None:
    """The champion's run is the older one where a later model was refused, the newer one where a person trained."""
    older = "r2-0-0" if newer == "r1" else "r1"
    refs = {older: {"snapshot-id": 0, "type": "tag"}, newer: {"snapshot-id": 1, "type": "tag"}}
    assert written(aws, [{"added-records": 17_000}, {"added-records": 544}, {"added-records": 24}], refs) == 24


def test_a_snapshot_that_is_not_known_promises_nothing(aws: Aws) -> None:
    assert written(aws, [{"added-records": 17_000}], {"main": {"snapshot-id": 0, "type": "branch"}}) == 0


def test_without_a_table_there_is_no_row(aws: Aws) -> None:
    named = {"database": aws.names.platform.database, "table": "none"}
    assert count_new_rows(aws.glue, aws.s3, **named, runs=["r1"], lies_ahead=True) == 0
