"""Exactly one version of an object, on disk, with the digest of its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from millrace.errors import DropError
from millrace.messages.ingest import Drop

PIECE_BYTES = 2**20
GONE = ("NoSuchKey", "NoSuchVersion", "404")


def fetch(s3: Any, drop: Drop, path: Path, *, most_bytes: int) -> str:
    """The SHA-256 of the object, whose bytes lie in `path` now; `s3` is boto3's client.

    Raises DropError `missing` when the version is gone, `too_large` before too much is read. Fewer bytes than
    S3 announced are botocore's IncompleteReadError, and the machine's retry."""
    from botocore.exceptions import ClientError

    version = {"VersionId": drop.version_id} if drop.version_id else {}
    try:
        answer = s3.get_object(Bucket=drop.bucket, Key=drop.key, **version)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            raise DropError("missing", f"expected {drop.uri}, it is gone") from None
        raise
    if answer["ContentLength"] > most_bytes:
        raise DropError("too_large", f"expected {most_bytes} bytes at most, came {answer['ContentLength']}")
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in answer["Body"].iter_chunks(PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
