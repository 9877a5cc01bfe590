"""Reads, writes and lists objects in S3. `client` is boto3's S3 client everywhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from millrace.errors import ConfigurationError

AT_ONCE = 8
"""The most requests to S3 at the same time. boto3's client has ten connections."""
GONE = (
    "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405", "InvalidArgument", "400",
    "KeyTooLongError", "InvalidObjectState",
)  # fmt: skip
"""The codes of S3's answers for an object or a version that cannot be read: no bucket, no object, a delete marker, no
version id, an archived object."""

Item = TypeVar("Item")


def at_once(do: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `do` with each item, AT_ONCE at the same time. Return when all calls have ended; raise the first error."""
    wanted = list(items)
    if wanted:
        with ThreadPoolExecutor(min(AT_ONCE, len(wanted))) as pool:
            # `list` takes every result out of the iterator, which raises the error of a call.
            list(pool.map(do, wanted))


def is_gone(error: Any) -> bool:
    """Whether S3 says by botocore's ClientError that there is no such object or version to read.

    Who may not list the bucket is refused by that right: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    said = error.response["Error"]
    return said["Code"] in GONE or (said["Code"] == "AccessDenied" and "perform: s3:ListBucket" in said["Message"])


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the key of `s3://<bucket>/<key>`. Raises ConfigurationError for any other text."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise ConfigurationError(where="object", field="uri", expected="s3://<bucket>/<key>", came=uri)
    return bucket, key


def key_of_version(uri: str) -> str:
    """The key of `s3://<bucket>/<key>?versionId=<version>`, or of a URI without a version."""
    key = uri.removeprefix("s3://").partition("/")[2]
    # `rpartition`, since a key itself may contain "?versionId=".
    return key.rpartition("?versionId=")[0] or key


def read_object(client: Any, uri: str) -> bytes:
    """The bytes of the whole object, in memory. It is for reports and settings, not for data."""
    bucket, key = split_uri(uri)
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def put_object(client: Any, uri: str, content: bytes) -> None:
    """Write the object, over an older one with the same key."""
    bucket, key = split_uri(uri)
    client.put_object(Bucket=bucket, Key=key, Body=content)


def put_new(client: Any, **given: Any) -> dict[str, Any] | None:
    """S3's answer to `put_object` with `given`; None if the key is taken, or another writer is just writing it."""
    try:
        answer: dict[str, Any] = client.put_object(**given, IfNoneMatch="*")
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        return None
    return answer


def download(client: Any, uri: str, path: Path) -> None:
    """Download the object to the file `path`, in pieces of 1 MiB."""
    bucket, key = split_uri(uri)
    with path.open("wb") as file:
        for piece in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1024 * 1024):
            file.write(piece)


def keys_below(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The keys that begin with `prefix`, in S3's order: by their bytes."""
    return (entry["Key"] for entry in entries_below(client, bucket, prefix))


def entries_below(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """S3's entry for each key that begins with `prefix`, in S3's order.

    An entry has `Key`, `Size` and `LastModified`."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def folders_below(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The folders right below `prefix`, each with a slash at its end, in S3's order.

    Example: `date=1997-06-01/` for the prefix `electricity/decisions/`."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        yield from (entry["Prefix"].removeprefix(prefix) for entry in page.get("CommonPrefixes", []))


class RangedObject(io.RawIOBase):
    """An object in S3 as a file. Each read is one GetObject of its bytes: for readers that jump, as that of Parquet."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        """Raises the client's error if there is no such object."""
        # The length comes with the first byte, so no right is needed but that to get the object.
        answer = client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")
        self._client, self._bucket, self._key, self._at = client, bucket, key, 0
        # The same version in all reads: a repeated delivery writes the object anew.
        self._etag, self._size = answer["ETag"], int(answer["ContentRange"].rpartition("/")[2])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        answer = self._client.get_object(
            Bucket=self._bucket, Key=self._key, Range=f"bytes={self._at}-{end - 1}", IfMatch=self._etag
        )
        content: bytes = answer["Body"].read()
        self._at += len(content)
        return content
