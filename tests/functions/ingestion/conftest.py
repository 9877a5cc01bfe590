"""The two functions of the ingest machine and the snapshot function, on the local cloud's S3, Glue and DynamoDB."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.local.cloud import Cloud
from millrace.datasets.tables import Lake
from millrace.names import WorkloadNames
from tests.millrace.datasets.conftest import lake, names

__all__ = ["lake", "names"]

EVENTS = Path(__file__).resolve().parents[3] / "events"
SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"
CONTEXT = SimpleNamespace(
    aws_request_id="8f507cfc-1d2d-4a1d-9a4f-0d2a4c2f6c1b",
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:function",
)


@dataclass(kw_only=True)
class Ingest:
    """Drives one drop through the functions as the machine does."""

    s3: Any
    names: WorkloadNames
    load: Callable[[str], Callable[[dict[str, Any]], dict[str, Any]]]

    def drop(self, feed: str, name: str, body: bytes) -> dict[str, Any]:
        """The payload of the first function; the run is named by what the intake would name it by."""
        bucket, key = self.names.platform.bucket("landing"), f"electricity/{feed}/{name}"
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        payload: dict[str, Any] = json.loads((EVENTS / "ingestion.json").read_text())
        payload["run"] = hashlib.sha256(key.encode()).hexdigest()
        payload["state"]["detail"]["feed"] = feed
        payload["state"]["detail"]["objects"][0] |= {"bucket": bucket, "key": key}
        return payload

    def step(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = self.load(function)(json.loads(json.dumps(payload)))
        payload["state"][function] = {"answer": json.loads(json.dumps(answer))}
        return answer

    def run(self, feed: str, name: str, body: bytes) -> dict[str, Any]:
        """The answer of the last function that was called."""
        payload = self.drop(feed, name, body)
        answer = self.step("ingestion", payload)
        if answer["rejected"]:
            return answer
        return self.step("validation", payload)

    def quarantined(self) -> list[dict[str, Any]]:
        bucket = self.names.platform.bucket("lake")
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix="electricity/quarantine/").get("Contents", [])
        rows: list[dict[str, Any]] = []
        for entry in found:
            body = self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            rows += [row | {"key": entry["Key"]} for row in pq.ParquetFile(pa.BufferReader(body)).read().to_pylist()]
        return rows


@pytest.fixture
def load(
    cloud: Cloud, names: WorkloadNames, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Callable[[dict[str, Any]], dict[str, Any]]]]:
    for name, value in {
        "POWERTOOLS_SERVICE_NAME": "electricity",
        "MILLRACE_STAGE": names.platform.stage,
        "MILLRACE_ACCOUNT": names.platform.account,
        "MILLRACE_REGION": names.platform.region,
        "MILLRACE_WORKLOAD": "electricity",
        "MILLRACE_CODE_DIGEST": "c0de",
    }.items():
        monkeypatch.setenv(name, value)
    cloud.client("dynamodb").create_table(
        TableName=names.platform.state_table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )

    def cold(function: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        sys.modules.pop(f"functions.{function}.handler", None)
        handler = importlib.import_module(f"functions.{function}.handler").handler
        return lambda event: handler(event, CONTEXT)

    yield cold
    for function in ("ingestion", "validation", "snapshot"):
        sys.modules.pop(f"functions.{function}.handler", None)


@pytest.fixture
def ingest(cloud: Cloud, names: WorkloadNames, lake: Lake, load: Any) -> Ingest:
    return Ingest(s3=cloud.client("s3"), names=names, load=load)


@pytest.fixture(scope="session")
def sample() -> pa.Table:
    return pq.read_table(SAMPLE)
