"""What every task of a job knows: the plan, the contract, the drop's bytes, the table as it was for the plan."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import put_object, split_uri
from millrace.contract.future import up_to
from millrace.contract.load import contract_of
from millrace.contract.schema import Contract, Table
from millrace.datasets.iceberg import s3_client, upload
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import table_at
from millrace.files.origin import Origin
from millrace.files.parsed import Limits
from millrace.messages.bulk import BulkPlan

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

LIMITS = Limits(file_bytes=64 * 2**30, rows=2**40)
"""Of what a task reads: a packed file has fewer bytes, unpacked on its disk."""
PIECE_BYTES = 8 * 2**20
"""The bytes that are fetched by one call for a file on disk."""
_LOCK = Lock()


def client() -> Any:
    """boto3's S3 client. Several tasks may begin at once in one process, where boto3 makes one client at a time."""
    with _LOCK:
        return s3_client()


class ObjectStream:
    """The bytes of `s3://<bucket>/<key>?versionId=<version>`, any part of them by a call of its own."""

    def __init__(self, uri: str, size: int) -> None:
        key, _, version_id = uri.rpartition("?versionId=")
        self._named = dict(zip(("Bucket", "Key"), split_uri(key), strict=True)) | {"VersionId": version_id}
        self._place, self._size = 0, size

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, fewer at the end."""
        upto = min(self._place + size, self._size)
        if upto <= self._place:
            return b""
        answer = client().get_object(**self._named, Range=f"bytes={self._place}-{upto - 1}")
        self._place = upto
        content: bytes = answer["Body"].read()
        return content

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to the place, or to the end; returns the place."""
        self._place = self._size if whence == io.SEEK_END else place
        return self._place

    def fetch(self, path: Path, *parts: tuple[int, int]) -> Path:
        """Make a file of the same size that has the bytes from the start to the end of each part.

        Between them it has holes, which take no room on the disk."""
        with path.open("wb") as file:
            os.truncate(file.fileno(), self._size)
            for start, end in parts:
                self.seek(start)
                file.seek(start)
                while self._place < end:
                    file.write(self.read(min(PIECE_BYTES, end - self._place)))
        return path


@dataclass(frozen=True, kw_only=True)
class BulkJob:
    """A plan with all that follows from it."""

    plan: BulkPlan
    limits: Limits = LIMITS

    @cached_property
    def contract(self) -> Contract:
        return contract_of(json.loads(self.plan.contract), where="contract.yaml")

    @cached_property
    def table(self) -> Table:
        """The table by which the drop is parsed."""
        return self.contract.table("training")

    @cached_property
    def judged(self) -> Table:
        """The table by which its rows are judged, with the bounds of this drop."""
        read = self.contract.read_by_models(self.plan.read_by_models)
        return up_to(read.table("training"), self.plan, arrived=self.plan.as_of)

    @cached_property
    def iceberg(self) -> StaticTable:
        return table_at(self.plan.metadata_location, client().meta.region_name)

    @property
    def snapshot_id(self) -> int:
        """The snapshot that the rows are judged against; 0 for a table without one."""
        snapshot = self.iceberg.current_snapshot()
        return snapshot.snapshot_id if snapshot else 0

    def stream(self) -> ObjectStream:
        return ObjectStream(self.plan.source, self.plan.size)

    def origin(self, digest: str) -> Origin:
        """Where the rows come from. Drops with images are read by functions alone."""
        return Origin(name=self.plan.key, at=self.plan.as_of, digest=digest, fetch=lambda *_: b"")

    def quarantine(self, path: Path) -> QuarantineFile:
        return QuarantineFile(path, drop_id=self.plan.drop_id, source=self.plan.source, as_of=self.plan.as_of)

    def put(self, path: Path, name: str) -> None:
        """Upload the file to staging."""
        client()
        upload(path, self.plan.staging + name)

    def get(self, name: str, path: Path) -> Path:
        """Download the file from staging."""
        client().download_file(*split_uri(self.plan.staging + name), str(path))
        return path

    def write(self, name: str, content: str) -> None:
        """Put the text into staging."""
        put_object(client(), self.plan.staging + name, content.encode())


@lru_cache(maxsize=2)
def job_of(plan: str) -> BulkJob:
    """The job of a plan in JSON; a process reads the table's metadata once."""
    return BulkJob(plan=BulkPlan.model_validate_json(plan))


def read_if_there(uri: str) -> str | None:
    """The text of the object, None if there is none.

    The roles may list the folder alone, so GetObject itself would answer AccessDenied for an object that is missing."""
    bucket, key = split_uri(uri)
    found = client().list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    if not any(one["Key"] == key for one in found):
        return None
    return str(client().get_object(Bucket=bucket, Key=key)["Body"].read().decode())
