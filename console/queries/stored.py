"""Objects that may be missing: expired by a lifecycle rule, or never written because a run ended early."""

from __future__ import annotations

from typing import Any

from millrace.aws.objects import read_object


def find_object(client: Any, uri: str) -> bytes | None:
    """The bytes of `s3://<bucket>/<key>`; None when there is no such object. `client` is boto3's S3 client."""
    try:
        return read_object(client, uri)
    except client.exceptions.NoSuchKey:
        return None
