"""Values of the product that many tests need: a test gives what it looks at, the rest is as usual."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.artefact.artefact import Description
from millrace.decisions.record import Decision
from millrace.decisions.review import ReviewItem
from millrace.decisions.scored import ScoredDay
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.release.registry import Candidate, Package
from millrace.serving.http import Head, Request
from millrace.state.audit import Record
from millrace.state.pointers import Version
from millrace.tasks.binary import Binary

NUMBER = {"logicalType": "number", "physicalType": "DOUBLE"}
TEXT = {"logicalType": "string", "physicalType": "STRING"}
BOOLEAN = {"logicalType": "boolean", "physicalType": "BOOLEAN"}
TIME = {"logicalType": "timestamp", "physicalType": "TIMESTAMP", "logicalTypeOptions": {"timezone": False}}
LABEL = {"property": "role", "value": "label"}
REPORT: dict[str, Any] = {
    "rows": {"test": 1344},
    "split": {"from": "1996-12-04", "to": "1997-01-01"},
    "task": "binary",
    "error": {"name": "share of wrong answers", "is_share": True},
    "finite_weights": True,
    "latency_ms": {"p50": 0.02, "p99": 0.08, "rows": 1},
    "size_mb": 0.05,
}
"""What the report of an evaluation has beside its figures, as JSON."""


def decision(**given: Any) -> Decision:
    """An answer of the live model about a row of electricity, made at the row's event time."""
    output = {"value": 1, "probability": 0.75, "confidence": 0.75}
    usual = {"id": "call-0", "workload": "electricity", "key": {}, "input": "{}", "output": output, "latency_ms": 3.0}
    usual |= {"model_version": "1", "phase": "live", "fallback": False, "inferred_at": given["event_time"]}
    return Decision(**usual | given)


def candidate(**given: Any) -> Candidate:
    """A model that a training run offers."""
    usual = {"run": "run-1", "image": "i", "model_data_url": "s3://b/m", "evaluation_uri": "s3://b/e"}
    return Candidate(**usual | {"instances": ("ml.m5.large",), "metadata": {}} | given)


def scored_day(**given: Any) -> ScoredDay:
    """The rows of a day in a scored file of one shard, whose answers are a value and its confidence."""
    usual = {"source": "s3://landing/a/scoring/x.csv", "source_digest": "9f86", "run": "9c2e", "phase": "live"}
    usual |= {"first_shard": 0, "shards": 1, "event_time": "at", "answer": ("value", "confidence")}
    return ScoredDay(**usual | given)


def version(number: int | str = "3", **given: Any) -> Version:
    """A version that was live."""
    usual = {"package_arn": f"p/{number}", "version": str(number), "model_name": "m", "run": "r", "baseline_uri": ""}
    return Version(**usual | given)


def package(number: int | str = "2", **given: Any) -> Package:
    """A version of the registry that was approved."""
    usual = {"arn": f"p/{number}", "version": str(number), "image": "i", "model_data_url": "s3://b/m", "metadata": {}}
    usual |= {"approval": "Approved", "decided_at": datetime(1997, 1, 1, tzinfo=UTC), "changed_by": "", "said": ""}
    return Package(**usual | given)


def record(event: AuditEvent, details: Message, **given: Any) -> Record:
    """A record of the audit."""
    usual = {"actor": "a", "execution_arn": "arn:x", "as_of": datetime(1997, 1, 1, tzinfo=UTC), "cause": "c"}
    return Record(event=event, details=details, **usual | given)


def review_item(at: datetime, **given: Any) -> ReviewItem:
    """A row that waits for a person since this time."""
    usual: dict[str, Any] = {"id": "r-0", "reason": "unsure", "priority": 2, "opened_at": at, "event_time": at}
    usual |= {"expires_at": at + timedelta(hours=24), "key": {"timestamp": "1997-06-01T06:00:00"}, "input": '{"a":1}'}
    usual |= {"output": {"value": 1, "confidence": 0.6}, "model_version": "1", "source": "api"}
    return ReviewItem(**usual | given)


def description(**given: Any) -> Description:
    """What the artefact of a small feedforward network says of itself."""
    usual = {"family": "feedforward", "parameters": {}, "task": Binary(), "label": "y", "walk_forward": ()}
    return Description(**usual | {"temperature": 1.0, "torch": "2.13.0"} | given)


def invocation(body: bytes = b"", content_type: str = "application/json", **given: Any) -> Request:
    """A request for predictions as the endpoint's server reads it."""
    usual: dict[str, Any] = {"method": "POST", "path": "/invocations", "keep_alive": True, "expects_continue": False}
    return Request(head=Head(content_type=content_type, body_bytes=len(body), **usual | given), body=body)


def contract(name: str, rows: list[dict[str, Any]], labels: list[dict[str, Any]]) -> dict[str, Any]:
    """The contract of a workload, of these columns of both tables, as contract.yaml holds it."""
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {"name": table, "physicalType": "table", "logicalType": "object", "properties": properties}
            for table, properties in (("rows", rows), ("labels", labels))
        ],
    }


def column(name: str, kind: Mapping[str, Any], key: int = 0, **more: Any) -> dict[str, Any]:
    """A required column, as contract.yaml holds it: of a kind with `validValues`, if it has some, and this place in the
    key."""
    declared: dict[str, Any] = {"name": name, "required": True, **kind}
    if "validValues" in declared:
        rule = {"type": "library", "metric": "invalidValues", "mustBe": 0, "dimension": "conformity"}
        declared["quality"] = [rule | {"arguments": {"validValues": declared.pop("validValues")}}]
    place = {"primaryKey": True, "primaryKeyPosition": key} if key else {}
    return declared | place | more


def columns(contract: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The column of this name, in each table of a contract that has it."""
    return (one for table in contract["schema"] for one in table["properties"] if one["name"] == name)


def parquet(rows: pa.Table, **form: Any) -> bytes:
    """The rows as a file of Parquet; `form` is how pyarrow writes it."""
    sink = io.BytesIO()
    pq.write_table(rows, sink, **form)
    return sink.getvalue()


def picture(image: Any, encoding: str, **form: Any) -> bytes:
    """Pillow's image as a file of this encoding; `form` is how Pillow writes it."""
    sink = io.BytesIO()
    image.save(sink, encoding, **form)
    return sink.getvalue()
