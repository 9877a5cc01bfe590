"""Objects in S3 by their URI; `client` is boto3's S3 client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from millrace.errors import ConfigurationError

AT_ONCE = 8
"""Requests to S3 at the same time; boto3's client has ten connections."""

Item = TypeVar("Item")


def at_once(do: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Do it for each item, AT_ONCE of them at the same time; returns when all are done, or raises the first error."""
    wanted = list(items)
    if wanted:
        with ThreadPoolExecutor(min(AT_ONCE, len(wanted))) as pool:
            list(pool.map(do, wanted))


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://<bucket>/<key>`; raises ConfigurationError on anything else."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise ConfigurationError(where="object", field="uri", expected="s3://<bucket>/<key>", came=uri)
    return bucket, key


def key_of_version(uri: str) -> str:
    """The key of `s3://<bucket>/<key>?versionId=<version>`; a key may itself have what stands before a version's id."""
    key = uri.removeprefix("s3://").partition("/")[2]
    return key.rpartition("?versionId=")[0] or key


def read_object(client: Any, uri: str) -> bytes:
    """The whole object in memory: for reports and settings, not for data."""
    bucket, key = split_uri(uri)
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def put_object(client: Any, uri: str, content: bytes) -> None:
    """Write the object, in place of one that is there."""
    bucket, key = split_uri(uri)
    client.put_object(Bucket=bucket, Key=key, Body=content)


def download(client: Any, uri: str, path: Path) -> None:
    """Write the object to `path`, in pieces."""
    bucket, key = split_uri(uri)
    with path.open("wb") as file:
        for piece in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1024 * 1024):
            file.write(piece)


def keys_below(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The keys that begin so, in S3's order: by their bytes."""
    return (entry["Key"] for entry in entries_below(client, bucket, prefix))


def entries_below(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """What S3 lists of each key that begins so (`Key`, `Size`, `LastModified`), in its order."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def folders_below(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The next parts of the keys that begin so, each with its slash, in S3's order."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        yield from (entry["Prefix"].removeprefix(prefix) for entry in page.get("CommonPrefixes", []))
