"""Lists, reads and deletes the versions of objects, and looks whether one names a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from millrace.erasure.files import UNREADABLE, Person

MOST_BYTES = 256 * 2**20
"""The largest object that is looked into: a function has 3 GB, and a packed file grows in it."""
Entry = dict[str, Any]
"""A version of an object, or the marker of a deletion, as S3 lists it: only a version has a `Size`."""


def versions(s3: Any, bucket: str, prefix: str) -> Iterator[Entry]:
    """All versions below the prefix with the markers of deletions, by key, the newest of each first."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield from sorted(found, key=lambda one: (one["Key"], not one["IsLatest"]))


def read(s3: Any, bucket: str, one: Entry) -> bytes:
    """The bytes of a version; none of a marker, and none of a version that is too large to look into."""
    if one.get("Size", MOST_BYTES + 1) > MOST_BYTES:
        return b""
    body: bytes = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
    return body


def delete(s3: Any, bucket: str, one: Entry) -> None:
    """Delete the version itself, for good."""
    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def is_named(s3: Any, bucket: str, one: Entry, person: Person) -> bool:
    """Whether the version, or its key, names the person. One that cannot be looked into may."""
    if person.names(one["Key"].encode()) or one.get("Size", 0) > MOST_BYTES:
        return True
    try:
        return person.is_in(read(s3, bucket, one))
    except UNREADABLE:
        return True
