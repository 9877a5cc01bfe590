"""The versions of a table: what came, with which version it left, and which models were trained between."""

from __future__ import annotations

from millrace.datasets import notes
from millrace.datasets.journal import Expired, Journal, JournalEntry
from millrace.datasets.table_versions import table_versions


def entry(place: int, said: dict[str, str]) -> JournalEntry:
    return JournalEntry(snapshot_id=100 + place, place=place, committed_ms=place, notes=said)


def test_a_drop_has_left_with_the_version_that_replaced_or_withdrew_it() -> None:
    dropped = {notes.ORIGIN: "s3://landing/w/training/a.csv?versionId=1", notes.DIGEST: "d", "added-records": "12"}
    replaced = {notes.REPLACED: "w/training/a.csv", notes.REPLACED_ROWS: "12"}
    withdrawn = {notes.DIGEST: "e", notes.WITHDRAWN: "12", notes.WITHDRAWN_DROP: "w/training/a.csv"}
    said = dropped, {notes.WITHDRAWN: "12"}, dropped | replaced, withdrawn | {"added-records": "7"}, {}
    journal = Journal(Expired(), [entry(place, each) for place, each in enumerate(said, 1)])
    found = table_versions(journal, "rows", "w/", {"1": 101, "2": 103, "3": 104, "4": None})
    assert [(one.version, one.what, one.added, one.left, one.left_with, one.learnt_by) for _, one in found] == [
        ("rows-4", "withdrawal of training/a.csv", 0, 12, "", ()),
        ("rows-3", "training/a.csv", 12, 12, "rows-4", ("2",)),
        ("rows-1", "training/a.csv", 12, 0, "rows-3", ("1",)),
    ]
