"""A client for scripts and notebooks: drop files, ask the live model, fetch the answers to a scored file.

    from millrace.client import Client

    client = Client(workload="mine", stage="local")
    drop = client.drop("next.csv", feed="scoring")
    client.answers(drop, timeout_s=600)                      # an Arrow table
    client.predict([{"sex": "female", "age": 14.5}])         # one Answer for each row

boto3 finds credentials, region and, of a local cloud, its address in the environment: `eval "$(millrace up --export)"`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import read_object
from millrace.decisions.scored import delivered_key
from millrace.errors import AnswerError
from millrace.names import Platform, WorkloadNames, drop_id_of
from millrace.settings.prediction import ROWS_PER_CALL

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Feed

POLL_S = 1.0
"""Seconds between two looks for answers."""


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A file that was dropped."""

    id: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one row, or why there is none."""

    id: str | None
    """The id of the decision, by which a label finds it; None for a refused row."""
    output: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the task's answer, such as `value` and `confidence`; empty for a refused row."""
    refused: Mapping[str, Any] | None = None
    """`reason`, `column`, `expected` and `came`; None for an answered row."""


def _boto3_client(service: str) -> Any:
    import boto3

    return boto3.client(service)


@dataclass(frozen=True, kw_only=True)
class Client:
    """One deployed workload."""

    workload: str
    stage: str = "local"
    client: Callable[[str], Any] = _boto3_client
    """Makes boto3's client of a service."""

    @cached_property
    def names(self) -> WorkloadNames:
        """The names of the workload's resources in the account of the credentials."""
        sts = self.client("sts")
        platform = Platform(stage=self.stage, account=sts.get_caller_identity()["Account"], region=sts.meta.region_name)
        return WorkloadNames(platform=platform, workload=self.workload)

    def drop(self, file: str | Path, *, feed: Feed, name: str = "") -> Drop:
        """Put the file into the landing bucket, which starts the machine of its feed."""
        path, bucket = Path(file), self.names.platform.bucket("landing")
        key = f"{self.workload}/{feed}/{name or path.name}"
        with path.open("rb") as body:
            version = self.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        return Drop(id=drop_id_of(bucket, key, version), uri=f"s3://{bucket}/{key}?versionId={version}")

    def answers(self, drop: Drop, *, timeout_s: float) -> pa.Table:
        """The delivered predictions of a scored drop, once they are there. Rows that were refused are not among them.

        Raises TimeoutError after `timeout_s` seconds, as for a file that was refused whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        s3, end = self.client("s3"), time.monotonic() + timeout_s
        uri = f"s3://{self.names.platform.bucket('lake')}/{delivered_key(self.workload, drop.id)}"
        while True:
            try:
                return pq.read_table(pa.BufferReader(read_object(s3, uri)))
            except s3.exceptions.NoSuchKey:
                if time.monotonic() > end:
                    raise TimeoutError(f"{drop.uri}: expected answers within {timeout_s:g} s, got none") from None
            time.sleep(POLL_S)

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The live model's answer to each row, in their order. Cells are as JSON has them.

        Raises AnswerError if the function fails or refuses a request as a whole."""
        calls = (rows[at : at + ROWS_PER_CALL] for at in range(0, len(rows), ROWS_PER_CALL))
        return [answer for call in calls for answer in self._call(call)]

    def _call(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        request = json.dumps({"rows": list(rows)}).encode()
        answer = self.client("lambda").invoke(FunctionName=self.names.prediction, Payload=request)
        document = json.load(answer["Payload"])
        if "predictions" not in document:
            raise AnswerError(f"{self.names.prediction}: expected predictions, got {json.dumps(document)[:300]}")
        # A row is either answered or rejected.
        answered = {one.pop("row"): Answer(id=one.pop("id"), output=one) for one in document["predictions"]}
        refused = {one.pop("row"): Answer(id=None, refused=one) for one in document["rejected"]}
        return [(answered | refused)[place] for place in range(len(rows))]
