"""The audit's hash chain: every change once, in order, whoever comes at the same time or again."""

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
from millrace.state import audit_chain
from millrace.state.audit_chain import BEFORE_THE_FIRST, AuditChain, ChainChange, ChangeKind, Link, digest, link_key
from tests.audit_bucket import create_bucket
from tests.credentials import set_credentials

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
