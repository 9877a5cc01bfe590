"""Captures as an endpoint's data capture writes them, made of the real stream of electricity."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"
INPUTS = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
Stream = Callable[[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def stream() -> Stream:
    """The rows with first <= timestamp < last."""
    table = pq.read_table(SAMPLE)

    def rows(first: str, last: str) -> list[dict[str, Any]]:
        ends = [pa.scalar(datetime.fromisoformat(day), table["timestamp"].type) for day in (first, last)]
        inside = pc.and_(pc.greater_equal(table["timestamp"], ends[0]), pc.less(table["timestamp"], ends[1]))
        return table.filter(inside).sort_by("timestamp").to_pylist()

    return rows


def capture(number: int, at: datetime, inputs: str, answer: str = "0.1", encoding: str = "CSV") -> str:
    """One line, as https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html has it."""
    side = {"observedContentType": "text/csv", "encoding": encoding}
    return json.dumps(
        {
            "captureData": {
                "endpointInput": side | {"mode": "INPUT", "data": inputs},
                "endpointOutput": side | {"mode": "OUTPUT", "data": answer, "encoding": "CSV"},
            },
            "eventMetadata": {"eventId": f"e-{number}", "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
            "eventVersion": "0",
        }
    )


def ground_truth(number: int, label: object) -> str:
    return json.dumps(
        {
            "groundTruthData": {"data": str(label), "encoding": "CSV"},
            "eventMetadata": {"eventId": f"e-{number}"},
            "eventVersion": "0",
        }
    )


def captures_of(rows: list[dict[str, Any]], answers: Callable[[int], str] = lambda _: "0.1") -> Iterator[str]:
    for number, row in enumerate(rows):
        yield capture(number, row["timestamp"], ",".join(str(row[name]) for name in INPUTS), answers(number))


def csv_of(rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
