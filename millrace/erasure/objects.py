"""Takes a person out of the objects below a prefix, in all of their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from millrace.erasure.files import Person, Rest, texts

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
    """Whether the version, or its key, names the person. One that is too large to look into may."""
    if person.names(one["Key"].encode()) or one.get("Size", 0) > MOST_BYTES:
        return True
    return any(map(person.names, texts(read(s3, bucket, one))))


def erase(
    s3: Any, bucket: str, prefix: str, person: Person, rest_of: Callable[[str, bytes], tuple[str, Rest]]
) -> Iterator[int]:
    """The number of records that left each object. `rest_of` says where to put what is left of one, and what that is.

    Each version that has the person goes, too large ones stay. An object whose key names the person goes whole."""
    for key, of_key in groupby(versions(s3, bucket, prefix), key=lambda one: one["Key"]):
        every, removed = list(of_key), 0
        for one in every:
            there, (rest, gone) = rest_of(key, read(s3, bucket, one))
            if person.names(key.encode()):
                rest, gone = None, [b""]
            removed = max(removed, len(gone))
            if gone and one["IsLatest"]:
                # What is left is there before the version goes: a call that dies between begins here again.
                if rest is not None:
                    s3.put_object(Bucket=bucket, Key=there, Body=rest)
                if len(every) > 1 and (rest is None or there != key):
                    s3.delete_object(Bucket=bucket, Key=key)  # no earlier version takes its place
            if gone:
                delete(s3, bucket, one)
        yield removed
