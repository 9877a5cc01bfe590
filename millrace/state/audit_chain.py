"""The audit's hash chain: each change of the audit table is an object of its own, which names the digest of the one
before.

The objects of a workload are numbered from 1. The 17th lies at `<workload>/9999999983.json` (10,000,000,000 less 17):
S3 lists keys in ascending order, so the newest object comes first.

    {"change": "INSERT", "number": 17, "previous": "5d0f…", "record": {"pk": {"S": "electricity"}, "sk": {"S": "…"}, …}}

All of it follows from the table and from the object before, so a changed byte is found in each object, also in the
newest, which no other one names. The stream's number of the change is in the object's metadata, for a change that the
stream brings again to be known. Two writers cannot fork the chain: S3 gives a number to the first of them only
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError, FlexibleChecksumError

from millrace.errors import AuditChainError

BEFORE_THE_FIRST = "0" * 64
"""What the first object names in the place of a digest."""
KEYS = 10**10
"""One more than the highest number."""
SKEW = timedelta(seconds=10)
"""By which the clocks of DynamoDB and S3 may differ, with the seconds that both round to."""
RECENT = 20
"""Objects that are listed at once to find the newest."""
REMEMBERED = 100
"""Objects of its own that a chain does not read again."""
SEQUENCE = "sequence"
"""The object's metadata that says which change it is. The stream has each change once and numbers it:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's errors where another writer has put the key, or puts it now."""

Item = Mapping[str, Mapping[str, Any]]
"""As DynamoDB writes it, each value with its type."""


class ChangeKind(StrEnum):
    """What happened to an item of the table, in the words of DynamoDB's streams; only ADDED is as it should be."""

    ADDED = "INSERT"
    CHANGED = "MODIFY"
    REMOVED = "REMOVE"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of the audit table."""

    kind: ChangeKind
    record: Item
    """The item after the change; of a removed one its keys."""
    at: datetime
    """When the table was changed, to the second."""
    sequence: str
    """The stream's number of this change: to add an item, remove it and add it again makes three numbers."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What an object of the chain says."""

    number: int
    previous: str
    """SHA-256 of the bytes of the object before."""
    kind: ChangeKind
    record: Item

    def encode(self) -> bytes:
        """The bytes of the object: the same link has always the same."""
        words = {"change": self.kind, "number": self.number, "previous": self.previous, "record": self.record}
        return json.dumps(words, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> Link:
        """Raises AuditChainError where `encode` would have written other bytes."""
        try:
            words = json.loads(body)
            link = cls(
                number=words["number"],
                previous=words["previous"],
                kind=ChangeKind(words["change"]),
                record=words["record"],
            )
            whole = link.encode()
        except (ValueError, TypeError, KeyError) as error:
            raise AuditChainError(f"expected a link of the audit's chain, got {body[:80]!r}") from error
        if whole != body:
            raise AuditChainError(f"expected {whole[:80]!r}…, got {body[:80]!r}…")
        return link


@dataclass(frozen=True, kw_only=True)
class StoredLink:
    """A number of the chain as the bucket has it."""

    number: int
    key: str
    version_id: str
    """Of the oldest version, which alone belongs to the chain."""
    written_at: datetime
    later_versions: int
    """Versions that somebody put over it."""


@dataclass(frozen=True, kw_only=True)
class _Object:
    body: bytes
    sequence: str
    """Of its metadata; empty where somebody else has put it."""


def digest(body: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def link_key(workload: str, number: int) -> str:
    """Where the link with this number lies."""
    return f"{workload}/{KEYS - number:010d}.json"


class AuditChain:
    """One workload's chain. `client` is boto3's S3 client; S3's lists are strongly consistent."""

    def __init__(self, client: Any, *, bucket: str, workload: str) -> None:
        self._client, self._bucket, self._workload = client, bucket, workload
        self._written: dict[str, _Object] = {}

    def extend(self, changes: Sequence[Change]) -> int:
        """How many of the changes were not in the chain yet: they are now, in their order.

        To call it again with the same changes, or at the same time elsewhere, adds nothing."""
        left, added = list(changes), 0
        while left:
            # Another writer may have added changes, of these too, since the newest object was read: then its number is
            # taken, and all is looked at anew.
            known, (number, previous) = self._recent(min(change.at for change in left))
            left = [change for change in left if change.sequence not in known]
            while left and (body := self._put(number + 1, previous, left[0])) is not None:
                number, previous = number + 1, digest(body)
                left, added = left[1:], added + 1
        return added

    def links(self, page: int = 1000) -> Iterator[StoredLink]:
        """The numbers of the chain, newest first; one behind a delete marker is among them. `page` go in one call."""
        listed = (version for found in self._pages(page) for version in found.get("Versions", []))
        for key, versions in groupby(listed, key=lambda version: str(version["Key"])):
            *later, first = versions
            if number := self._number(key):
                yield StoredLink(
                    number=number,
                    key=key,
                    version_id=first["VersionId"],
                    written_at=first["LastModified"],
                    later_versions=len(later),
                )

    def length(self) -> int:
        """The number of the newest link; 0 without one."""
        newest = next(self.links(1), None)
        return newest.number if newest else 0

    def strangers(self) -> Iterator[str]:
        """What is no part of the chain: keys with a delete marker, and keys that the chain does not use."""
        for page in self._pages(1000):
            yield from (f"{marker['Key']} (delete marker)" for marker in page.get("DeleteMarkers", []))
            yield from (version["Key"] for version in page.get("Versions", []) if not self._number(version["Key"]))

    def read(self, link: StoredLink) -> bytes:
        """The bytes of the object; raises AuditChainError where S3's own checksum is another."""
        return self._read(link).body

    def _read(self, link: StoredLink) -> _Object:
        answer = self._client.get_object(Bucket=self._bucket, Key=link.key, VersionId=link.version_id)
        try:
            body: bytes = answer["Body"].read()
        except FlexibleChecksumError as error:
            raise AuditChainError(f"expected bytes with the checksum that S3 keeps of them: {error}") from error
        return _Object(body=body, sequence=answer.get("Metadata", {}).get(SEQUENCE, ""))

    def _recent(self, since: datetime) -> tuple[set[str], tuple[int, str]]:
        """The stream's numbers of the changes that the chain got since then; number and digest of its newest object.

        No change is in the chain before it was made, so what is older need not be read."""
        known: set[str] = set()
        number, name = 0, BEFORE_THE_FIRST
        for stored in self.links(RECENT):
            if number and stored.written_at < since - SKEW:
                break
            # No version ever changes: mostly the chain has put the newest objects itself, and reads none.
            found = self._written.get(stored.version_id) or self._read(stored)
            if not number:
                number, name = stored.number, digest(found.body)
            known.add(found.sequence)
        return known, (number, name)

    def _pages(self, page: int) -> Iterator[dict[str, Any]]:
        pages: Iterator[dict[str, Any]] = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=f"{self._workload}/", PaginationConfig={"PageSize": page}
        )
        return pages

    def _put(self, number: int, previous: str, change: Change) -> bytes | None:
        """The bytes of the new object; None where the number is taken."""
        body = Link(number=number, previous=previous, kind=change.kind, record=change.record).encode()
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=link_key(self._workload, number),
                Body=body,
                Metadata={SEQUENCE: change.sequence},
                ContentType="application/json",
                # A bucket with Object Lock takes no object without a checksum.
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in TAKEN:
                return None
            raise
        self._written[answer["VersionId"]] = _Object(body=body, sequence=change.sequence)
        if len(self._written) > REMEMBERED:
            del self._written[next(iter(self._written))]
        return body

    def _number(self, key: str) -> int:
        """0 where it is no key of the chain."""
        digits = key.removeprefix(f"{self._workload}/").removesuffix(".json")
        number = KEYS - int(digits) if digits.isascii() and digits.isdigit() else 0
        return number if key == link_key(self._workload, number) else 0
