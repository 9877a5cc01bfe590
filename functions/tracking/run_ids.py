"""Stores which MLflow run records a training run, in a file beside the training run's files.

MLflow chooses the id of a run, so two events that come at once make two MLflow runs. S3's conditional write lets the
first of them store its id; the other one is deleted.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from millrace.aws.objects import read_object, split_uri
from millrace.names import WorkloadNames
from millrace.settings.tracking import RUN_ID_FILE

LOST = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's errors if another event has written the file, or is writing it."""


@dataclass(frozen=True, kw_only=True)
class RunIds:
    """The ids of one workload's MLflow runs. `s3` is boto3's client."""

    s3: Any
    names: WorkloadNames

    def find(self, run: str) -> str | None:
        """The id of the MLflow run that records the train execution `run`. None if there is none yet."""
        # By a listing, not by a failed read: a role that may list below a prefix only gets 403 when it reads an object
        # that is not there.
        bucket, key = split_uri(self._uri(run))
        if not self.s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
            return None
        return read_object(self.s3, self._uri(run)).decode()

    def claim(self, run: str, run_id: str) -> str:
        """Store the id, unless one is stored. Returns the stored id: this one, or the one that came first."""
        from botocore.exceptions import ClientError

        bucket, key = split_uri(self._uri(run))
        try:
            self.s3.put_object(Bucket=bucket, Key=key, Body=run_id.encode(), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST:
                raise
            # The other writer may still be writing, or may have failed: without an id there, claim again.
            return self.find(run) or self.claim(run, run_id)
        return run_id

    def _uri(self, run: str) -> str:
        return self.names.run_uri(run, RUN_ID_FILE)
