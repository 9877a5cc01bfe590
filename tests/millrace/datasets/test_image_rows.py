"""Labels that name a prediction of an image: the image comes back from where it was kept, as a training row."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.datasets.commits import commit
from millrace.datasets.decision_rows import GENERATED_DAYS, JoinedLabels, join_labels
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.decisions import captured
from millrace.decisions.record import canonical, from_line, prefix, to_line
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload
from tests import builders

FOLDER = Path(__file__).parents[3] / "workloads" / "xray"
PREDICTION_SPEC = load_workload(FOLDER).prediction
IMAGES = pq.read_table(FOLDER / "sample" / "pneumoniamnist.parquet").slice(0, 4).to_pylist()
ASKED = datetime(2024, 1, 8, 8, tzinfo=UTC)


@pytest.fixture
def xray(names: WorkloadNames) -> Lake:
    return Lake(replace(names, workload="xray"), load_contract(FOLDER))


def ask(lake: Lake, s3: Any, images: list[dict[str, Any]]) -> None:
    """The decisions on the images, as the prediction function leaves them."""
    columns = captured.long_columns(lake.contract.table("scoring"))
    long = captured.LongCells(columns=columns, under=lake.names.lake_uri(captured.FOLDER, ""))
    rows = [
        {"id": one["id"], "at": ASKED.isoformat(), "image": base64.b64encode(one["image"]).decode()} for one in images
    ]
    inputs, contents = long.split(rows)
    captured.keep(s3, contents)
    lines = [
        to_line(
            builders.decision(
                id=f"p-{row['id']}",
                workload="xray",
                event_time=ASKED,
                key={"id": row["id"]},
                input=canonical(cells),
                output={"value": 1, "probability": 0.7, "confidence": 0.7},
            )
        )
        for row, cells in zip(rows, inputs, strict=True)
    ]
    bucket = lake.names.platform.bucket("lake")
    body = "".join(f"{line}\n" for line in lines).encode()
    s3.put_object(Bucket=bucket, Key=f"{prefix('xray', ASKED.date())}a.jsonl", Body=body)


def label(lake: Lake, images: list[dict[str, Any]], *, came: datetime) -> None:
    """The labels' time is that of their drop."""
    rows = pa.table({
        "id": [one["id"] for one in images],
        "at": pa.array([came] * len(images), pa.timestamp("us", "UTC")),
        "label": pa.array([one["label"] for one in images], pa.int32()),
        "prediction_id": [f"p-{one['id']}" for one in images],
        "_line": pa.array(range(len(images)), pa.int64()),
    })  # fmt: skip
    commit(
        lake, "labels", rows, Source(uri="s3://landing/x", key="xray/labels/x.csv", digest=str(came), written_by="r")
    )


def test_images_are_rows_again_as_they_were_asked_about(xray: Lake, cloud: Any) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES)
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_labels(xray, s3, PREDICTION_SPEC, run="r1") == JoinedLabels(rows=3, unmatched=0, refused=0)
    found = sorted(xray.open("rows").scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    assert [(row["id"], row["image"], row["label"], row["split"]) for row in found] == [
        (one["id"], one["image"], None, None) for one in IMAGES[:3]
    ]
    assert {row["at"] for row in found} == {ASKED}, "the row's time is the request's, not the label's"


@pytest.mark.parametrize(("days", "matched"), [(GENERATED_DAYS, 1), (GENERATED_DAYS + 1, 0), (-1, 0)])
def test_a_label_is_looked_for_in_the_days_before_it(xray: Lake, cloud: Any, days: int, matched: int) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES[:1])
    label(xray, IMAGES[:1], came=ASKED + timedelta(days=days))
    assert join_labels(xray, s3, PREDICTION_SPEC, run="r1") == JoinedLabels(
        rows=matched, unmatched=1 - matched, refused=0
    )


@pytest.mark.parametrize("body", [None, b"another"], ids=["expired", "altered"])
def test_an_image_that_is_not_there_is_no_training_row_and_holds_back_no_other(
    xray: Lake, cloud: Any, body: bytes | None
) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES)
    bucket, digest = xray.names.platform.bucket("lake"), hashlib.sha256(IMAGES[0]["image"]).hexdigest()
    s3.delete_object(Bucket=bucket, Key=f"xray/{captured.FOLDER}/{digest}")
    if body:
        s3.put_object(Bucket=bucket, Key=f"xray/{captured.FOLDER}/{digest}", Body=body)
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_labels(xray, s3, PREDICTION_SPEC, run="r1") == JoinedLabels(rows=2, unmatched=0, refused=1)


@pytest.mark.parametrize("elsewhere", ["s3://another/xray/captured/", "s3://{lake}/gas/captured/", "http://{lake}/"])
def test_an_image_elsewhere_is_not_fetched(xray: Lake, cloud: Any, elsewhere: str) -> None:
    s3, bucket = cloud.client("s3"), xray.names.platform.bucket("lake")
    ask(xray, s3, IMAGES)
    key = f"{prefix('xray', ASKED.date())}a.jsonl"
    good = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()
    first = from_line(good[0])
    moved = first.input.replace(xray.names.lake_uri(captured.FOLDER, ""), elsewhere.format(lake=bucket))
    assert moved != first.input
    lines = [to_line(replace(first, input=moved)), *good[1:]]
    s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in lines).encode())
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_labels(xray, s3, PREDICTION_SPEC, run="r1") == JoinedLabels(rows=2, unmatched=0, refused=1)
