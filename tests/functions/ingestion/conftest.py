"""The two functions of the ingest machine and the snapshot function, on the local cloud's S3, Glue and DynamoDB."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.datasets.tables import Lake
from millrace.names import WorkloadNames
from tests.functions.cold_start import Handler, cold_starts, set_variables
from tests.millrace.datasets.conftest import lake, names
from tests.state_table import create_table

__all__ = ["lake", "names"]

EVENTS = Path(__file__).resolve().parents[3] / "events"
SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"


@dataclass(kw_only=True)
class Ingest:
    """Drives one drop through the functions as the machine does."""

    s3: Any
    names: WorkloadNames
    load: Callable[[str], Handler]

    def drop(self, feed: str, name: str, body: bytes) -> dict[str, Any]:
        """The payload of the first function; the run is named by what the intake would name it by."""
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        payload: dict[str, Any] = json.loads((EVENTS / "ingestion.json").read_text())
        payload["run"] = hashlib.sha256(key.encode()).hexdigest()
        payload["state"]["detail"]["feed"] = feed
        payload["state"]["detail"]["objects"][0] |= {"bucket": bucket, "key": key}
        return payload

    def together(self, feed: str, bodies: dict[str, bytes]) -> dict[str, Any]:
        """The payload of one execution for several drops, whose ids end with their names."""
        objects = []
        for name, body in bodies.items():
            (named,) = self.drop(feed, name, body)["state"]["detail"]["objects"]
            objects.append(named | {"drop_id": f"id-{name}", "as_of": "1997-06-01T06:00:00Z"})
        payload = self.drop(feed, name, body)
        payload["state"]["detail"]["objects"] = objects
        return payload

    def call(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer, which is in the payload of the next step."""
        answer: dict[str, Any] = json.loads(json.dumps(self.load(function)(json.loads(json.dumps(payload)))))
        payload["state"][function] = {"answer": answer}
        return answer

    def step(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the answer says of the payload's only drop, beside what it says of all."""
        answer = self.call(function, payload)
        (one,) = answer["drops"] if "drops" in answer else answer["parsed"] + answer["rejected"]
        return {**answer, **one}

    def run(self, feed: str, name: str, body: bytes, **more: str) -> dict[str, Any]:
        """The answer of the last function that was called. `more` is said of the object, such as `as_of`."""
        payload = self.drop(feed, name, body)
        payload["state"]["detail"]["objects"][0] |= more
        answer = self.step("ingestion", payload)
        if answer["outcome"] == "rejected":
            return answer
        return self.step("validation", payload)

    def quarantined(self) -> list[dict[str, Any]]:
        bucket = self.names.platform.bucket("lake")
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=f"{self.names.workload}/quarantine/").get("Contents", [])
        rows: list[dict[str, Any]] = []
        for entry in found:
            body = self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            rows += [row | {"key": entry["Key"]} for row in pq.ParquetFile(pa.BufferReader(body)).read().to_pylist()]
        return rows


@pytest.fixture
def load(cloud: Cloud, names: WorkloadNames, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Handler]]:
    set_variables(monkeypatch, names=names, MILLRACE_CODE_DIGEST="c0de")
    create_table(cloud.client("dynamodb"), names.platform.state_table)
    with cold_starts() as start:
        yield start


@pytest.fixture
def ingest(cloud: Cloud, names: WorkloadNames, lake: Lake, load: Any) -> Ingest:
    return Ingest(s3=cloud.client("s3"), names=names, load=load)


@pytest.fixture(scope="session")
def sample() -> pa.Table:
    return pq.read_table(SAMPLE)
