"""Lists, reads and deletes the versions of objects, and looks whether one names a person."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

from millrace.contract.csv_form import CsvForm
from millrace.erasure.files import ARROW, GZIP, PARQUET, UNREADABLE, ZIP, Person

MOST_BYTES = 256 * 2**20
"""The largest object that is read whole: a function has 3 GB, and a packed file grows in it."""
PIECE = 8 * 2**20
"""The bytes of a larger one that are read together; a line has fewer."""
Entry = dict[str, Any]
"""A version of an object, or the marker of a deletion, as S3 lists it: only a version has a `Size`."""


def versions(s3: Any, bucket: str, prefix: str) -> Iterator[Entry]:
    """All versions below the prefix with the markers of deletions, by key, the newest of each first."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield from sorted(found, key=lambda one: (one["Key"], not one["IsLatest"]))


def read(s3: Any, bucket: str, one: Entry) -> bytes:
    """The bytes of a version; none of a marker, and none of a version that is too large to read whole."""
    if one.get("Size", MOST_BYTES + 1) > MOST_BYTES:
        return b""
    body: bytes = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
    return body


def delete(s3: Any, bucket: str, one: Entry) -> None:
    """Delete the version itself, for good."""
    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def is_named(s3: Any, bucket: str, one: Entry, person: Person, form: CsvForm | None = None) -> bool:
    """Whether the version, or its key, names the person. One that cannot be looked into may."""
    if person.is_named_by(one["Key"]):
        return True
    try:
        if one.get("Size", 0) > MOST_BYTES:
            return any(map(person.names, pieces(s3, bucket, one)))
        return person.is_in(read(s3, bucket, one), form)
    except UNREADABLE:
        return True


def pieces(s3: Any, bucket: str, one: Entry) -> Iterator[bytes]:
    """The whole lines of a version, also of a gzip, some at a time. Raises ValueError for what has none."""
    place = {"Bucket": bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
    head = s3.get_object(**place, Range="bytes=0-5")["Body"].read()
    if head.startswith((PARQUET, *ARROW, ZIP)):
        raise ValueError(f"expected lines, got {head!r}")
    body, rest = s3.get_object(**place)["Body"], b""
    file = gzip.GzipFile(fileobj=body) if head.startswith(GZIP) else body
    while piece := file.read(PIECE):
        whole, end, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > PIECE:
            raise ValueError(f"expected lines of {PIECE} bytes at most, got a longer one")
        yield whole + end
    yield rest
