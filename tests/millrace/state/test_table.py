"""Kinds of items: each is stored in its form, read as it was, and written under its condition."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.decisions.review import ReviewAnswer
from millrace.errors import ConflictError
from millrace.functions.sweep.findings import AuditNote, OrphanNoted, ReportedFailure
from millrace.messages.ingest import DropObject
from millrace.messages.monitor import FloorDay
from millrace.state import table as state_table
from millrace.state.automation import Automation
from millrace.state.claims import Claim, Start
from millrace.state.climbing import Climbing
from millrace.state.cursors import Cursor, SourceCursor
from millrace.state.erasures import ErasureProgress
from millrace.state.held_drops import Contradiction, HeldDrop
from millrace.state.holdings import Lease
from millrace.state.item import Item
from millrace.state.known_keys import RowsVersion
from millrace.state.pointers import CanaryVersion, Pointers, ReleasePointers
from millrace.state.retraining import LastRetraining
from millrace.state.table import StateTable
from millrace.state.unanswered import UnansweredAlarm
from millrace.state.versions import ChangeStarts, FloorState, KeptPromise
from millrace.state.wanted import StoredChoice
from millrace.timestamps import parse_utc
from tests import builders
from tests.builders import version
from tests.millrace.state.conftest import NAMES

AT, TEXT = parse_utc("1997-06-01T06:00:00Z"), "1997-06-01T06:00:00Z"
DAY = FloorDay(day="1997-05-30", labels=48, own=31, rule=14)
DROP = DropObject(key="electricity/labels/june.csv", drop_id="5d7c")
LIVE = version("3", baseline_uri="s3://b/b")
ITEMS: tuple[Item, ...] = (
    ChangeStarts(version="3", since={"error": AT}, as_of=AT),
    KeptPromise(version="3", threshold=0.1 + 0.2, as_of=AT),
    FloorState(version="3", below=True, since=AT, as_of=AT, days=(DAY,)),
    StoredChoice(start=AT, report_uri="s3://lake/r.json", until=AT),
    UnansweredAlarm(alarm="error", since=AT),
    Automation(is_paused=True, by="ann", since=AT),
    Climbing(execution="arn:x", version="3", phase="shadow", since=AT),
    Cursor(name="monitor", window_end=AT),
    SourceCursor(name="orders", drops=2, value='"2026-11-01"', seen=b"12345678"),
    ReportedFailure(execution_arn="arn:x", as_of=AT),
    LastRetraining(execution_arn="arn:x", started_at=AT, labels_total=9, counted_month="1997-06", runs_in_month=1),
    Lease(name="train", holder="arn:x", as_of=AT, expires_at=AT),
    AuditNote(records=18, lost=1, as_of=AT),
    OrphanNoted(as_of=AT),
    Claim(drop="5d7c", execution="77fe"),
    Start(machine="ingest", pool="p", name="77fe", input="{}"),
    RowsVersion(declared="1c9e", origin="9b1d", place=17, snapshot_id=4821940093718391, labels_id=0),
    Pointers(champion=LIVE, highest=3, canary=CanaryVersion(version=LIVE, share=0.1, execution="arn:x")),
    builders.review_item(
        AT,
        event_time=AT + timedelta(microseconds=1),
        key={"shop": 7},
        model_version=None,
        answer=ReviewAnswer(value=("a", 1.5), by="ann", at=AT, seconds=3.0, source="web"),
    ),
    HeldDrop(drop_id="5d7c", object=DROP, because=("a", "b"), rows=48, held_at=AT),
    Contradiction(drop_id="5d7c", by="ann", labels=3, at=AT),
    ErasureProgress(cause="erase-5d7c", until=AT, counts={"lake/decisions": [2, 0]}, step=3, versions=["train-7f"]),
)
AGAIN = {StoredChoice, UnansweredAlarm, Cursor, SourceCursor, RowsVersion}
"""The kinds of which a second write changes nothing."""


def test_every_kind_is_read_as_it_was_written_under_its_condition(table: StateTable) -> None:
    assert {*map(type, ITEMS)} == {*Item.__subclasses__()}
    for item in ITEMS:
        kind = type(item)
        assert item.put(table)
        assert [*kind.every(table).values()] == [item]
        assert item.put(table) is (kind not in AGAIN), kind
        if rises := re.search(r"(as_of|window_end) <=? :\1", item._only_if):
            older, newer = (replace(item, **{rises[1]: AT + timedelta(days=by)}) for by in (-1, 1))  # type: ignore[type-var]
            assert (older.put(table), newer.put(table)) == (False, True), kind


def test_an_item_has_the_attributes_that_its_module_shows() -> None:
    change, promise, _, choice, *_ = (item.attributes for item in ITEMS)
    assert change == {"since": {"M": {"error": {"S": TEXT}}}, "as_of": {"S": TEXT}}
    assert promise == {"threshold": {"S": "0.30000000000000004"}, "as_of": {"S": TEXT}}
    assert choice["delete_after"] == {"N": "899704800"}


def test_a_note_that_was_written_since_is_not_forgotten(table: StateTable) -> None:
    failure = ReportedFailure(execution_arn="train:a", as_of=AT)
    failure.put(table)
    newer = replace(failure, as_of=AT + timedelta(minutes=5))
    newer.put(table)
    failure.forget(table)
    assert ReportedFailure.every(table) == {"train:a": newer}
    newer.forget(table)
    assert ReportedFailure.every(table) == {}


FOLDER = Path(state_table.__file__).parent


def test_every_module_that_has_items_is_named_among_the_keys() -> None:
    """And none that has not: by what it calls."""
    named = set(re.findall(r"^    \S+.*`(\w+)`$", str(state_table.__doc__), re.M))
    of_items = re.compile(r"import .*\b(StateTable|Item)\b")
    using = {path.stem for path in FOLDER.glob("*.py") if of_items.search(path.read_text())}
    assert named == using - {"item"}


class Busy:
    """A client that leaves some keys unread, so many times."""

    def __init__(self, client: Any, times: int) -> None:
        self._client, self._left = client, times

    def batch_get_item(self, RequestItems: Any) -> Any:
        [(table, wanted)] = RequestItems.items()
        if self._left:
            self._left -= 1
            answer = self._client.batch_get_item(RequestItems={table: wanted | {"Keys": wanted["Keys"][:2]}})
            return answer | {"UnprocessedKeys": {table: wanted | {"Keys": wanted["Keys"][2:]}}}
        return self._client.batch_get_item(RequestItems=RequestItems)


def test_what_is_left_unread_is_asked_for_again_and_not_for_ever(client: Any, table: StateTable) -> None:
    for number in range(30):
        table.put(f"item#{number}", {"n": {"N": str(number)}})
    wanted = [str(number) for number in range(31)]
    assert set(StateTable(Busy(client, 3), NAMES).find("item#", wanted)) == set(wanted) - {"30"}
    with pytest.raises(ClientError, match="15 of 31 items were left unread 8 times"):
        StateTable(Busy(client, 99), NAMES).find("item#", wanted)


def test_pointers_come_back_as_written(table):
    pointers = ReleasePointers(table)
    written = pointers.move(Pointers(champion=version(2), previous=version(1), highest=3))
    assert written.revision == 1
    assert pointers.read() == written


def test_a_write_on_an_old_revision_loses(table):
    pointers = ReleasePointers(table)
    pointers.move(Pointers(champion=version(1)))
    with pytest.raises(ConflictError, match="expected revision 0"):
        pointers.move(Pointers(champion=version(2)))
    assert pointers.champion() == version(1)


def test_of_two_promotions_at_once_one_wins(table):
    pointers = ReleasePointers(table)
    read = pointers.move(Pointers(champion=version(1)))

    def promote(number):
        try:
            pointers.move(replace(read, champion=version(number)))
        except ConflictError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(promote, range(2, 10))) == 1
    assert pointers.read().revision == 2
