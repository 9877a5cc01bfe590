"""The audit table: added, never changed, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.kernel.patching import undone
from localcloud.s3.install import make_conditional_puts_atomic
from millrace.errors import AuditChainError
from millrace.functions.room import Room
from millrace.functions.sweep.findings import audit_lag
from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.settings.environment import Environment
from millrace.state import audit_chain
from millrace.state.audit import append, read
from millrace.state.audit_chain import BEFORE_THE_FIRST, AuditChain, ChainChange, ChangeKind, Link, digest, link_key
from millrace.timestamps import parse_utc
from tests import builders
from tests.audit_bucket import create_bucket
from tests.credentials import set_credentials
from tests.functions.cold_start import NAMES, set_variables
from tests.state_table import create_table

REMOVED = ResourcesRemoved(step="versions", found=("alarm a", "model b"))
RECORD = replace(builders.record(AuditEvent.TEARDOWN_STEP, REMOVED), as_of=parse_utc("1997-07-01T06:00:00Z"))


@pytest.fixture
def table(monkeypatch):
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        create_table(client, "audit")
        yield client


def keys(client):
    return [item["sk"]["S"] for item in client.scan(TableName="audit")["Items"]]


def test_records_are_read_back_in_order(table):
    earlier = replace(RECORD, as_of=parse_utc("1997-06-30T23:59:59Z"))
    for record in (RECORD, earlier):
        append(table, table="audit", workload="w", record=record)
    append(table, table="audit", workload="other", record=RECORD)
    found = list(read(table, table="audit", workload="w"))
    assert found == [earlier, RECORD]
    assert [(one.run, one.key) for one in found] == [("x", key) for key in sorted(keys(table))[:2]]
    assert list(read(table, table="audit", workload="w", newest_first=True)) == found[::-1]


def test_details_of_another_class_are_refused(table):
    with pytest.raises(ValueError, match=r"retrain.refused: expected details RetrainingDecided, got ResourcesRemoved"):
        append(table, table="audit", workload="w", record=replace(RECORD, event=AuditEvent.RETRAIN_REFUSED))
    assert keys(table) == []


BUCKET = "audit"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    set_credentials(monkeypatch)
    with undone(), mock_aws():
        make_conditional_puts_atomic()
        client = boto3.client("s3")
        create_bucket(client, BUCKET)
        yield client


def chain(s3: Any, workload: str = "electricity") -> AuditChain:
    return AuditChain(s3, bucket=BUCKET, workload=workload)


def change(number: int, kind: ChangeKind = ChangeKind.ADDED, *, sequence: str = "", **more: str) -> ChainChange:
    """The same one for the same words."""
    words = {"pk": "electricity", "sk": f"1997-06-01T06:00:00Z#{number:04d}", **more}
    return ChainChange(
        kind=kind,
        record={name: {"S": value} for name, value in words.items()},
        at=datetime.now(UTC),
        sequence=sequence or f"{number}-{kind}",
    )


def stored(s3: Any, workload: str = "electricity") -> list[Link]:
    """The links as they lie there, oldest first, each one's place and predecessor checked."""
    previous, found = BEFORE_THE_FIRST, []
    for number, link in enumerate(reversed(list(chain(s3, workload).links())), start=1):
        body = chain(s3, workload).read(link)
        found.append(Link.decode(body))
        assert (link.number, found[-1].number, link.later_versions) == (number, number, 0)
        assert found[-1].previous == previous
        previous = digest(body)
    return found


def test_each_change_names_the_one_before(s3: Any) -> None:
    changes = [change(1), change(2, actor="Zoë"), change(1, ChangeKind.REMOVED)]
    assert chain(s3).extend(changes[:2]) == 2
    assert chain(s3).extend(changes[2:]) == 1
    assert [(link.kind, link.record) for link in stored(s3)] == [(one.kind, one.record) for one in changes]
    newest = next(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET).search("Contents[].Key"))
    assert newest == "electricity/9999999997.json" == link_key("electricity", 3)
    first = json.loads(s3.get_object(Bucket=BUCKET, Key="electricity/9999999999.json")["Body"].read())
    assert (first["number"], first["previous"]) == (1, "0" * 64)
    head = s3.head_object(Bucket=BUCKET, Key=newest)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(hours=23)


def test_a_batch_that_comes_again_adds_nothing(s3: Any) -> None:
    changes = [change(n) for n in range(4)]
    assert chain(s3).extend(changes[:3]) == 3
    assert chain(s3).extend(changes) == 1, "an attempt that failed after three"
    assert chain(s3).extend(changes[1:2]) == 0
    assert len(stored(s3)) == 4


@pytest.mark.parametrize(
    "kinds",
    [
        (ChangeKind.REMOVED, ChangeKind.ADDED, ChangeKind.REMOVED),
        (ChangeKind.CHANGED, ChangeKind.CHANGED, ChangeKind.CHANGED),
    ],
    ids=["removed, put, removed", "changed, and back, and again"],
)
def test_what_is_done_twice_to_one_item_is_in_the_chain_twice(s3: Any, kinds: tuple[ChangeKind, ...]) -> None:
    """Within seconds and in a batch each, as somebody does it who tampers."""
    changes = [
        change(1, kind, sequence=str(n), actor="ab"[n % 2]) for n, kind in enumerate(kinds)
    ]  # the first and the last are alike
    assert [chain(s3).extend([one]) for one in changes] == [1, 1, 1]
    assert chain(s3).extend(changes) == 0, "the stream brings them again"
    assert [link.kind for link in stored(s3)] == [*kinds]


@pytest.mark.parametrize("same", [True, False], ids=["the same changes", "other changes"])
def test_writers_at_once_do_not_fork_the_chain(s3: Any, same: bool) -> None:
    chain(s3).extend([change(0)])
    batches = [[change(n if same else 10 * writer + n) for n in (1, 2, 3)] for writer in (1, 2, 3)]
    begun = Barrier(len(batches))

    def extend(batch: list[ChainChange]) -> int:
        begun.wait()
        return chain(s3).extend(batch)

    with ThreadPoolExecutor(len(batches)) as writers:
        added = list(writers.map(extend, batches))
    assert sum(added) == (3 if same else 9)
    keys = [link.record["sk"]["S"] for link in stored(s3)]
    assert len(keys) == len(set(keys)) == 1 + sum(added)
    for batch in batches:
        own = [one.record["sk"]["S"] for one in batch]
        assert [key for key in keys if key in own] == own, "the order of a batch stays"


def test_what_is_older_than_the_change_is_not_read(s3: Any) -> None:
    for n in range(5):
        chain(s3).extend([change(n)])
    reads: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: reads.append(params["Key"]))
    late = datetime.now(UTC) + audit_chain.SKEW + timedelta(seconds=5)
    assert chain(s3).extend([replace(change(9), at=late)]) == 1
    assert reads == [link_key("electricity", 5)]


def test_a_hidden_or_broken_link_does_not_end_the_chain(s3: Any) -> None:
    chain(s3).extend([change(1), change(2)])
    s3.delete_object(Bucket=BUCKET, Key=link_key("electricity", 2))
    s3.put_object(Bucket=BUCKET, Key=link_key("electricity", 3), Body=b"{}", ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket=BUCKET, Key="electricity/notes.txt", Body=b"", ChecksumAlgorithm="SHA256")
    assert chain(s3).extend([change(3)]) == 1
    assert [link.number for link in chain(s3).links()] == [4, 3, 2, 1]
    assert sorted(chain(s3).strangers()) == ["electricity/9999999998.json (delete marker)", "electricity/notes.txt"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"number": 1}',
        Link(number=1, previous="", kind=ChangeKind.ADDED, record={}).encode() + b" ",
    ],
)
def test_what_the_chain_would_not_write_is_no_link(body: bytes) -> None:
    with pytest.raises(AuditChainError, match="expected"):
        Link.decode(body)


START = parse_utc("1997-06-01T06:00:00Z")
BUCKET_AUDIT_LAG, TABLE = NAMES.platform.bucket("audit"), NAMES.platform.audit_table


class Audit:
    """The table, the chain and the look at both."""

    def __init__(self) -> None:
        self.dynamodb, self.records = boto3.client("dynamodb"), 0
        for table in (TABLE, NAMES.platform.state_table):
            create_table(self.dynamodb, table)
        s3 = boto3.client("s3")
        create_bucket(s3, BUCKET_AUDIT_LAG)
        self.chain = AuditChain(s3, bucket=BUCKET_AUDIT_LAG, workload=NAMES.workload)
        self.room = Room(Environment.parse(), "millrace.functions.sweep.handler")

    def add(self, *, is_chained: bool) -> None:
        self.records += 1
        item = {"pk": {"S": NAMES.workload}, "sk": {"S": f"{self.records:04d}"}}
        self.dynamodb.put_item(TableName=TABLE, Item=item)
        self.dynamodb.put_item(TableName=TABLE, Item=item | {"pk": {"S": "another"}})
        if is_chained:
            self.link(item)

    def link(self, item: Any) -> None:
        sequence = item["sk"]["S"]
        change = ChainChange(kind=ChangeKind.ADDED, record=item, at=datetime.now(UTC), sequence=sequence)
        assert self.chain.extend([change]) == 1

    def hours(self, hours: float) -> float:
        """The lag that is found then, in hours."""
        return audit_lag(self.room, self.chain, START + timedelta(hours=hours)) / timedelta(hours=1)


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    set_variables(monkeypatch)
    with undone(), mock_aws():
        make_conditional_puts_atomic()
        yield Audit()


def test_a_record_that_waits_is_noticed_until_it_is_there(audit: Audit) -> None:
    audit.add(is_chained=True)
    audit.add(is_chained=False)
    assert [audit.hours(hour) for hour in (0, 1, 2, 3, 4, 5)] == [0, 0, 0, 3, 4, 5]
    audit.link({"pk": {"S": NAMES.workload}, "sk": {"S": "0002"}})
    assert [audit.hours(hour) for hour in (6, 7, 9)] == [0, 0, 0]


def test_what_is_lost_is_noticed_for_a_day_and_hides_nothing_later(audit: Audit) -> None:
    """A record that the stream dropped; the next ones are in the chain, then one is not."""
    audit.add(is_chained=False)
    assert [audit.hours(hour) > 0 for hour in (0, 3, 24, 28, 29, 32)] == [False, True, True, True, False, False]
    audit.add(is_chained=True)
    assert [audit.hours(hour) for hour in (36, 40)] == [0, 0]
    audit.add(is_chained=False)
    assert [audit.hours(hour) for hour in (44, 48)] == [0, 4]
