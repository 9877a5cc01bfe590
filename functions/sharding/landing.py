"""Scoring drops in the landing bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.errors import DropError
from millrace.messages.score import ScoringDrop
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Found:
    """One object, in one version."""

    bucket: str
    key: str
    version_id: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"


class Landing:
    """The scoring drops of one workload; `client` is boto3's S3 client."""

    def __init__(self, client: Any, *, names: WorkloadNames) -> None:
        self._client = client
        self._bucket = names.platform.bucket("landing")
        self._prefix = f"{names.workload}/scoring/"

    def find(self, drop: ScoringDrop) -> Found:
        """The drop that was named, or the newest one; DropError `missing` where there is none."""
        key = drop.key or self._newest()
        version = drop.version_id or self._client.head_object(Bucket=self._bucket, Key=key).get("VersionId", "null")
        return Found(bucket=self._bucket, key=key, version_id=version)

    def fetch(self, drop: Found, folder: Path, *, most_bytes: int) -> Path:
        """The file into which exactly this version was written.

        Raises DropError `too_large` before anything is read, since the disk has room for so much and no more."""
        path, version = folder / "drop", {"VersionId": drop.version_id}
        size = self._client.head_object(Bucket=drop.bucket, Key=drop.key, **version)["ContentLength"]
        if size > most_bytes:
            raise DropError("too_large", f"expected {most_bytes} bytes at most, came {size}")
        self._client.download_file(drop.bucket, drop.key, str(path), ExtraArgs=version)
        return path

    def _newest(self) -> str:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        found = [entry for page in pages for entry in page.get("Contents", [])]
        if not found:
            raise DropError("missing", f"expected an object below s3://{self._bucket}/{self._prefix}, came none")
        return str(max(found, key=lambda entry: entry["LastModified"])["Key"])
