"""The audit's hash chain: each change of the audit table becomes one object in S3, a link, with the digest of the link
before it.

The links of a workload are numbered from 1. Link 17 has the key `<workload>/9999999983.json`: 10,000,000,000 − 17. S3
lists keys in ascending order, so the newest link comes first.

    {"change": "INSERT", "number": 17, "previous": "5d0f…", "record": {"pk": {"S": "electricity"}, "sk": {"S": "…"}, …}}

A link holds only what follows from the table and from the link before. So a changed byte is found in every link, even
in the newest, whose digest no other link names.

The stream may bring a change again. So the metadata of a link has the stream's number of the change.

Two writers cannot fork the chain, since S3 gives a key to the first of them only
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html):

    writer A  reads that link 17 is the newest
    writer B  reads that link 17 is the newest
    writer A  puts link 18
    writer B  puts link 18: refused, the key is taken
    writer B  reads the newest links again; if none has its change, it puts link 19
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

from botocore.exceptions import FlexibleChecksumError

from millrace.aws.objects import put_new
from millrace.errors import AuditChainError
from millrace.operations.trail import AWS_LOGS

BEFORE_THE_FIRST = "0" * 64
"""The field `previous` of the first link."""
KEYS = 10**10
"""One more than the highest number of a link. The key of a link is KEYS − number."""
SKEW = timedelta(seconds=10)
"""How far the clocks of DynamoDB and S3 may differ. It includes that both round to seconds."""
RECENT = 20
"""How many objects one call lists to find the newest."""
REMEMBERED = 100
"""How many links of its own a chain keeps in memory, so that it need not read them again."""
SEQUENCE = "sequence"
"""The key in the object's metadata for the stream's number of the change. Each change has one number in the stream:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB writes it, each value with its type: {"pk": {"S": "electricity"}, …}."""


class ChangeKind(StrEnum):
    """What happened to an item of the table, in the words of DynamoDB's streams. Only ADDED is as it should be."""

    ADDED = "INSERT"
    CHANGED = "MODIFY"
    REMOVED = "REMOVE"


@dataclass(frozen=True, kw_only=True)
class ChainChange:
    """One change of the audit table."""

    kind: ChangeKind
    record: Item
    """The item after the change. Of a removed item only its keys."""
    at: datetime
    """When the table was changed, to the second."""
    sequence: str
    """The stream's number of this change. To add an item, remove it and add it again makes three numbers."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """The content of one link."""

    number: int
    previous: str
    """SHA-256 of the bytes of the link before, hexadecimal."""
    kind: ChangeKind
    record: Item

    def encode(self) -> bytes:
        """The bytes of the object. The same link always has the same bytes."""
        words = {"change": self.kind, "number": self.number, "previous": self.previous, "record": self.record}
        return json.dumps(words, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> Link:
        """The link in these bytes. Raises AuditChainError unless `encode` writes exactly the same bytes."""
        try:
            words = json.loads(body)
            link = cls(
                number=words["number"],
                previous=words["previous"],
                kind=ChangeKind(words["change"]),
                record=words["record"],
            )
            whole = link.encode()
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise AuditChainError(f"expected a link of the audit's chain, got {body[:80]!r}") from error
        # 5.0 would be equal to 5.
        if type(link.number) is not int or not _is_item(link.record):
            raise AuditChainError(f"expected a link of the audit's chain, got {body[:80]!r}")
        if whole != body:
            raise AuditChainError(f"expected {whole[:80]!r}…, got {body[:80]!r}…")
        return link


@dataclass(frozen=True, kw_only=True)
class StoredLink:
    """One link as the bucket lists it.

    Only the oldest version of its key belongs to the chain; the bucket keeps every version."""

    number: int
    key: str
    version_id: str
    """The oldest version of the key."""
    written_at: datetime
    """When S3 took the oldest version."""
    later_versions: int
    """How many versions somebody has put over it."""


@dataclass(frozen=True, kw_only=True)
class _Object:
    body: bytes
    sequence: str
    """The stream's number from the metadata. Empty if somebody else has put the object."""


def _is_item(record: object) -> bool:
    """Whether it has the form of an item: `{"pk": {"S": "electricity"}, …}`."""
    return isinstance(record, dict) and all(isinstance(value, dict) and len(value) == 1 for value in record.values())


def digest(body: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def link_key(workload: str, number: int) -> str:
    """The key of the link with this number: `electricity/9999999983.json` for 17."""
    return f"{workload}/{KEYS - number:010d}.json"


def chained_workloads(client: Any, bucket: str) -> list[str]:
    """The workloads with an object in the bucket. Beside their chains lie the logs of who read what."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Delimiter="/")
    folders = [one["Prefix"].rstrip("/") for page in pages for one in page.get("CommonPrefixes", ())]
    return [folder for folder in folders if folder != AWS_LOGS]


class AuditChain:
    """The chain of one workload. `client` is boto3's S3 client. S3's lists are strongly consistent."""

    def __init__(self, client: Any, *, bucket: str, workload: str) -> None:
        self._client, self._bucket, self._workload = client, bucket, workload
        self._written: dict[str, _Object] = {}

    def extend(self, changes: Sequence[ChainChange]) -> int:
        """Add the changes that are not in the chain yet, in their order. Returns how many were added.

        A change is added once, even if this is called again, or elsewhere at the same time."""
        left, added = list(changes), 0
        while left:
            # Read the newest links, then put one link after the other. A put fails if another writer has put that
            # number since; this writer may have added some of the same changes. Then begin anew with what is left.
            known, (number, previous) = self._recent(min(change.at for change in left))
            left = [change for change in left if change.sequence not in known]
            while left and (body := self._put(number + 1, previous, left[0])) is not None:
                number, previous = number + 1, digest(body)
                left, added = left[1:], added + 1
        return added

    def links(self, page: int = 1000) -> Iterator[StoredLink]:
        """The links of the chain, newest first. A link behind a delete marker is among them.

        `page` is the number of objects that one call lists."""
        listed = (version for found in self._pages(page) for version in found.get("Versions", []))
        for key, versions in groupby(listed, key=lambda version: str(version["Key"])):
            # S3 lists the versions of a key from the newest to the oldest.
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
        """The number of the newest link. 0 without a link."""
        newest = next(self.links(1), None)
        return newest.number if newest else 0

    def strangers(self) -> Iterator[str]:
        """What does not belong to the chain: keys with a delete marker, and keys that no link has."""
        for page in self._pages(1000):
            yield from (f"{marker['Key']} (delete marker)" for marker in page.get("DeleteMarkers", []))
            yield from (version["Key"] for version in page.get("Versions", []) if not self._number(version["Key"]))

    def read(self, link: StoredLink) -> bytes:
        """The bytes of the link. Raises AuditChainError if they do not match S3's own checksum."""
        return self._read(link).body

    def _read(self, link: StoredLink) -> _Object:
        answer = self._client.get_object(Bucket=self._bucket, Key=link.key, VersionId=link.version_id)
        try:
            body: bytes = answer["Body"].read()
        except FlexibleChecksumError as error:
            raise AuditChainError(f"expected bytes with the checksum that S3 keeps of them: {error}") from error
        return _Object(body=body, sequence=answer.get("Metadata", {}).get(SEQUENCE, ""))

    def _recent(self, since: datetime) -> tuple[set[str], tuple[int, str]]:
        """The stream's numbers of the changes that were chained since then, and number and digest of the newest link.

        A change is chained only after it was made, so links from before `since` need not be read."""
        known: set[str] = set()
        number, name = 0, BEFORE_THE_FIRST
        for stored in self.links(RECENT):
            if number and stored.written_at < since - SKEW:
                break
            # A version never changes, so what this chain has written is not read again. Mostly it has written the
            # newest links itself and reads none.
            found = self._written.get(stored.version_id) or self._read(stored)
            if not number:  # the first link of the list is the newest
                number, name = stored.number, digest(found.body)
            known.add(found.sequence)
        return known, (number, name)

    def _pages(self, page: int) -> Iterator[dict[str, Any]]:
        pages: Iterator[dict[str, Any]] = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=f"{self._workload}/", PaginationConfig={"PageSize": page}
        )
        return pages

    def _put(self, number: int, previous: str, change: ChainChange) -> bytes | None:
        """Put the change as link `number` and return its bytes. Returns None if the number is taken."""
        body = Link(number=number, previous=previous, kind=change.kind, record=change.record).encode()
        answer = put_new(
            self._client,
            Bucket=self._bucket,
            Key=link_key(self._workload, number),
            Body=body,
            Metadata={SEQUENCE: change.sequence},
            ContentType="application/json",
            # A bucket with Object Lock takes no object without a checksum.
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
            ChecksumAlgorithm="SHA256",
        )
        if answer is None:
            return None
        self._written[answer["VersionId"]] = _Object(body=body, sequence=change.sequence)
        # A dictionary keeps the order of insertion, so its first key is the oldest.
        if len(self._written) > REMEMBERED:
            del self._written[next(iter(self._written))]
        return body

    def _number(self, key: str) -> int:
        """The number of the link with this key. 0 if no link has such a key."""
        digits = key.removeprefix(f"{self._workload}/").removesuffix(".json")
        number = KEYS - int(digits) if digits.isascii() and digits.isdigit() else 0
        return number if key == link_key(self._workload, number) else 0
