"""An object in S3 as a file of which only the read parts are downloaded."""

from __future__ import annotations

import io
from typing import Any


class RangedObject(io.RawIOBase):
    """A file to read. Each read is one GetObject of its bytes: for readers that jump, such as that of Parquet."""

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
