"""The records of the audit table: who decided what, when and why; and their hash chain in the locked bucket."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from millrace.console.environment import Environment
from millrace.console.words import column
from millrace.errors import AuditChainError, EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent
from millrace.names import WorkloadNames
from millrace.state import audit
from millrace.state.audit import Record
from millrace.state.audit_chain import (
    BEFORE_THE_FIRST,
    AuditChain,
    ChangeKind,
    Item,
    Link,
    StoredLink,
    chained_workloads,
    digest,
    link_key,
)


def event_of(text: str) -> AuditEvent | None:
    """The event of this name; None for "". Raises EnvironmentNotFoundError, with a list of all, if there is none."""
    if text and text not in list(AuditEvent):
        raise EnvironmentNotFoundError(f"--event: expected one of {', '.join(AuditEvent)}, got {text!r}")
    return AuditEvent(text) if text else None


def find_records(
    environment: Environment, names: WorkloadNames, *, event: AuditEvent | None = None, limit: int | None = None
) -> list[Record]:
    """The newest `limit` records of the workload (None: all), the newest first; with `event` only those of this event.

    The workload need not be deployed any more: a teardown retains the table. Raises EnvironmentNotFoundError if there
    is no table."""
    client, table = environment.client("dynamodb"), environment.platform.audit_table
    records = audit.read(client, table=table, workload=names.workload, newest_first=True)
    try:
        return list(islice((one for one in records if event in (None, one.event)), limit))
    except client.exceptions.ResourceNotFoundException:
        stage = environment.platform.stage
        raise EnvironmentNotFoundError(
            f"expected the table {table} in this account and region, got none: stage {stage} is not deployed"
        ) from None


READERS = 16
"""How many objects are read at once."""
PATIENCE_S = 15.0
"""How long to wait for a missing record, in seconds: a record reaches the chain within seconds."""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """Something in the chain or the table that does not fit."""

    where: str
    """`link 17, s3://…`, or the record in the table."""
    expected: str
    came: str


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The chain of one workload, verified."""

    workload: str = column()
    records: int = column()
    """How many records the table has."""
    links: int = column()
    """How many links the chain has."""
    head: str = column()
    """Number and digest of the newest link: `17:5d0f…`.

    Whoever keeps it can show later that nothing up to this link has changed."""
    wrong: tuple[Wrong, ...]
    """What does not fit: in the order of the chain, then of the table."""


HEAD = re.compile(r"([0-9]+):([0-9a-f]{64})")
"""A head as `Verified` has it."""


def audited_workloads(environment: Environment) -> list[str]:
    """The workloads with a record in the table or an object in the bucket, whether they are deployed or not."""
    chained = chained_workloads(environment.client("s3"), environment.platform.bucket("audit"))
    table = {"TableName": environment.platform.audit_table, "ProjectionExpression": "pk"}
    return sorted({*chained, *(item["pk"]["S"] for item in environment.listed("dynamodb", "scan", "Items", **table))})


def verify_chain(
    environment: Environment, workload: str, *, head: str = "", patience_s: float = PATIENCE_S
) -> Verified:
    """Compare the chain with itself, with the table, and with a `head` that somebody has kept.

    It waits up to `patience_s` seconds for records of the first reading that the chain does not have yet. Raises
    EnvironmentNotFoundError if `head` is no head."""
    if head and not HEAD.fullmatch(head):
        expected = "<number>:<digest>, as an earlier verification printed it"
        raise EnvironmentNotFoundError(f"--head: expected {expected}, got {head!r}")
    table, examined = _pass(environment, workload)
    missing = [sort for sort in table if sort not in examined.recorded]
    # A reading may take long, so the waiting begins after the first one. Later readings have newer records, which may
    # have no link yet either: those are for the next verification.
    until = time.monotonic() + patience_s
    while missing and time.monotonic() < until:
        time.sleep(min(1.0, patience_s))
        table, examined = _pass(environment, workload)
        missing = [sort for sort in missing if sort not in examined.recorded]
    for sort in missing:
        examined.wrong.append(
            Wrong(where=f"{environment.platform.audit_table}: {sort}", expected="a link of this record", came="none")
        )
    # Number 0 is the head of an empty chain.
    number, _, wanted = head.partition(":")
    if head and (came := (examined.digests | {0: BEFORE_THE_FIRST}).get(int(number))) != wanted:
        came = came or f"none, the newest link is {examined.newest}"
        examined.wrong.append(Wrong(where=f"link {number}", expected=f"digest {wanted}", came=came))
    return Verified(
        workload=workload,
        records=len(table),
        links=len(examined.digests),
        head=f"{examined.newest}:{examined.digests.get(examined.newest, BEFORE_THE_FIRST)}",
        wrong=tuple(examined.wrong),
    )


def read_chain(environment: Environment, workload: str) -> list[bytes]:
    """The links of the chain from the oldest. Raises AuditChainError if something in it does not fit."""
    for wrong in verify_chain(environment, workload).wrong:
        raise AuditChainError(f"{wrong.where}: expected {wrong.expected}, got {wrong.came}")
    chain = AuditChain(environment.client("s3"), bucket=environment.platform.bucket("audit"), workload=workload)
    return [_whole(body) for _, body in _bodies(chain, list(chain.links())[::-1])]


@dataclass(kw_only=True)
class _Examined:
    """What one pass over the chain has found."""

    newest: int = 0
    """The number of the newest link; 0 without one."""
    digests: dict[int, str] = field(default_factory=dict)
    """The digest of each link by its number."""
    recorded: set[str] = field(default_factory=set)
    """The sort keys of the records that the chain says were added."""
    wrong: list[Wrong] = field(default_factory=list)


def _pass(environment: Environment, workload: str) -> tuple[dict[str, Item], _Examined]:
    """One reading of the table and of the chain."""
    chain = AuditChain(environment.client("s3"), bucket=environment.platform.bucket("audit"), workload=workload)
    # The list of links first: a record is in the table before it has a link, so a link of this list without a record is
    # one whose record was removed.
    stored = list(chain.links())[::-1]
    table = _table(environment, workload)
    return table, _examine(chain, stored, environment.platform.bucket("audit"), table)


def _table(environment: Environment, workload: str) -> dict[str, Item]:
    """The items of the audit table by their sort keys, in order."""
    items = environment.listed(
        "dynamodb",
        "query",
        "Items",
        TableName=environment.platform.audit_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": workload}},
        ConsistentRead=True,
    )
    return {item["sk"]["S"]: item for item in items}


def _examine(chain: AuditChain, links: Sequence[StoredLink], bucket: str, table: Mapping[str, Item]) -> _Examined:
    """One pass over the `links` of the chain, from the oldest to the newest."""
    found = _Examined()
    found.wrong += [
        Wrong(where=f"s3://{bucket}/{name}", expected="links of the chain only", came=name)
        for name in chain.strangers()
    ]
    previous: tuple[int, str] = 0, BEFORE_THE_FIRST
    for stored, body in _bodies(chain, links):
        place = f"link {stored.number}, s3://{bucket}/{stored.key}"
        found.wrong += _wrong_place(stored, previous[0], place)
        try:
            link = Link.decode(_whole(body))
        except AuditChainError as error:
            found.wrong.append(Wrong(where=place, expected="a link", came=str(error)))
        else:
            found.wrong += _wrong_link(link, stored, previous, place)
            found.wrong += _wrong_record(link, table, found.recorded, place)
            if link.kind is ChangeKind.ADDED:
                found.recorded.add(_sort(link))
            elif link.kind is ChangeKind.REMOVED:
                found.recorded.discard(_sort(link))
        # Also for a broken link: the next one is compared with what is really there.
        previous = stored.number, "none" if isinstance(body, AuditChainError) else digest(body)
        found.newest, found.digests[stored.number] = previous
    return found


def _bodies(chain: AuditChain, links: Sequence[StoredLink]) -> Iterator[tuple[StoredLink, bytes | AuditChainError]]:
    """Each of the `links` with the bytes of its object, or with the error why they cannot be read."""

    def read(link: StoredLink) -> bytes | AuditChainError:
        try:
            return chain.read(link)
        except AuditChainError as error:
            return error

    with ThreadPoolExecutor(READERS) as readers:
        yield from zip(links, readers.map(read, links), strict=True)


def _whole(body: bytes | AuditChainError) -> bytes:
    """The bytes of the object; raises the error if there is one instead."""
    if isinstance(body, AuditChainError):
        raise body
    return body


def _wrong_place(stored: StoredLink, before: int, place: str) -> Iterator[Wrong]:
    """What is wrong with where the link lies: a number is missing before it, or another object was put over it."""
    if stored.number != before + 1:
        lost = link_key(stored.key.partition("/")[0], before + 1)
        yield Wrong(where=f"link {before + 1}, {lost}", expected="an object", came=f"none, then link {stored.number}")
    if stored.later_versions:
        yield Wrong(where=place, expected="one version", came=f"{stored.later_versions} more, put over it")


def _wrong_link(link: Link, stored: StoredLink, previous: tuple[int, str], place: str) -> Iterator[Wrong]:
    """What is wrong with the link itself: its number, or the digest of the link before it."""
    if link.number != stored.number:
        yield Wrong(where=place, expected=f"number {stored.number}", came=f"number {link.number}")
    # After a gap the digest of the link before is not known, and `_wrong_place` reports the gap.
    number, name = previous
    if link.previous != name and number == stored.number - 1:
        where = f"link {number} or link {stored.number}" if number else place
        yield Wrong(where=where, expected=f"digest {link.previous}, which link {stored.number} names", came=name)


def _wrong_record(link: Link, table: Mapping[str, Item], recorded: Set[str], place: str) -> Iterator[Wrong]:
    """What is wrong with the link's record, compared with the table and with the records of the links before.

    A record cannot be added twice unless it was removed between."""
    sort = _sort(link)
    if link.kind is ChangeKind.ADDED and sort in recorded:
        yield Wrong(where=place, expected=f"one link of {sort}", came="another one")
    if link.kind is not ChangeKind.ADDED:
        verb = "changed" if link.kind is ChangeKind.CHANGED else "removed"
        yield Wrong(where=place, expected="records that are added, never changed", came=f"{sort} was {verb}")
    elif sort not in table:
        yield Wrong(where=place, expected=f"{sort} in the table", came="none")
    elif (kept := table[sort]) != link.record:
        name = min(name for name in kept.keys() | link.record.keys() if kept.get(name) != link.record.get(name))
        yield Wrong(
            where=f"{place}, {sort}: {name}",
            expected=f"{_value(kept.get(name))}, as in the table",
            came=_value(link.record.get(name)),
        )


def _sort(link: Link) -> str:
    """The record's sort key; empty if somebody has removed it."""
    return str(link.record.get("sk", {}).get("S", ""))


def _value(value: Mapping[str, Any] | None) -> str:
    return "nothing" if value is None else str(next(iter(value.values()), ""))
