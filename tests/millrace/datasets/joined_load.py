"""Labels at a small business's load: many decisions and a label for each, in the lake of a local cloud.

`python -m tests.millrace.datasets.joined_load <stage> join` joins and pins them in this process, and prints what that
took; `judge` judges the labels of all days as one drop in place of that.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.contract.load import load_contract
from millrace.contract.schema import arrow_schema
from millrace.datasets.commits import commit
from millrace.datasets.decision_rows import join_labels
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.decisions import absorbed
from millrace.decisions.absorbed import AbsorbedLines
from millrace.decisions.record import canonical, prefix, to_line
from millrace.decisions.scored import delivered_key, reference_key, rows_by_day
from millrace.functions.validation import labels
from millrace.messages.ingest import ParsedDrop
from millrace.messages.train import JoinedLabels
from millrace.names import Platform, WorkloadNames
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from tests import builders

HOME = Path(__file__).parents[3] / "workloads" / "electricity"
SPEC = load_workload(HOME).prediction
START = datetime(1997, 6, 4, tzinfo=UTC)
DAYS, OBJECT_ROWS = 28, 2_000
Layout = Literal["lines", "absorbed", "scored"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def lake_of(stage: str) -> Lake:
    names = WorkloadNames(
        platform=Platform(stage=stage, account="123456789012", region="eu-west-1"), workload="electricity"
    )
    return Lake(names, load_contract(HOME))


def fill(s3: Any, lake: Lake, rows: int, layouts: Sequence[Layout] = LAYOUTS) -> None:
    """Four weeks of decisions, the days of each layout in turn, and a label for each; every other label names its
    decision."""
    sample = pq.read_table(HOME / "sample" / "elec2.parquet").slice(0, 12_000)
    for number in range(DAYS):
        layout = layouts[number % len(layouts)]
        day = _day(number, rows // DAYS + (number < rows % DAYS), sample)
        _put(s3, lake, number, day, layout)
        ids = [name if place % 2 else None for place, name in enumerate(_ids(number, day, layout))]
        truth = day.select(["timestamp", "class"]).append_column("prediction_id", pa.array(ids, pa.string()))
        truth = truth.append_column("_line", pa.array(np.arange(len(day))))
        key = f"electricity/labels/{number:02}.parquet"
        commit(lake, "labels", truth, Source(uri=f"s3://landing/{key}", key=key, digest=key, written_by=key))


def _day(number: int, rows: int, sample: pa.Table) -> pa.Table:
    """The rows of a day, spread over it evenly."""
    drawn = sample.take(pa.array(np.random.default_rng(number).integers(len(sample), size=rows)))
    seconds = np.linspace(0, 86_399, rows).astype(np.int64) if rows <= 86_400 else np.arange(rows) * 86_400 / rows
    micros = int((START + timedelta(days=number)).timestamp()) * 1_000_000 + (seconds * 1_000_000).astype(np.int64)
    times = pa.array(micros, pa.timestamp("us"))
    return drawn.set_column(drawn.column_names.index("timestamp"), "timestamp", times)


def _ids(number: int, day: pa.Table, layout: Layout) -> list[str]:
    if layout == "scored":
        return [f"{number:032x}-{place}" for place in range(2, len(day) + 2)]
    return [f"{number:03x}{place:08x}-5b4e3d212f47657f" for place in range(len(day))]


def _put(s3: Any, lake: Lake, number: int, day: pa.Table, layout: Layout) -> None:
    bucket, date = lake.names.platform.bucket("lake"), (START + timedelta(days=number)).date()
    if layout == "scored":
        put_scored(s3, lake, f"{number:032x}", day.drop_columns(["class"]))
        return
    bodies = list(_bodies(number, day))
    if layout == "lines":
        for place, body in enumerate(bodies):
            s3.put_object(Bucket=bucket, Key=f"{prefix('electricity', date)}{place:08x}.jsonl", Body=body)
        return
    reference = prefix("electricity", date) + absorbed.reference_name(0)
    with TemporaryDirectory() as folder:
        path = Path(folder, "lines.parquet")
        parts = (absorbed.table_of(b"".join(bodies[at : at + 15])) for at in range(0, len(bodies), 15))
        absorbed.write_file(path, (part for part in parts if part is not None))
        s3.put_object(Bucket=bucket, Key=absorbed.file_of(reference), Body=path.read_bytes())
    taken = AbsorbedLines(rows={"0.jsonl": len(day)}, absorbed_at=START + timedelta(days=DAYS))
    s3.put_object(Bucket=bucket, Key=reference, Body=taken.model_dump_json().encode())


def _bodies(number: int, day: pa.Table) -> Iterator[bytes]:
    """The lines of the decisions on these rows, OBJECT_ROWS together."""
    names = _ids(number, day, "lines")
    for first in range(0, len(day), OBJECT_ROWS):
        lines = []
        for name, row in zip(names[first:], day.slice(first, OBJECT_ROWS).to_pylist(), strict=False):
            at = row["timestamp"]
            cells = row | {"timestamp": at.isoformat()}
            del cells["class"]
            decision = builders.decision(
                id=name, event_time=at.replace(tzinfo=UTC), key={"timestamp": at.isoformat()}, input=canonical(cells),
                output={"value": 1, "probability": 0.7, "confidence": 0.7},
                inferred_at=at.replace(tzinfo=UTC) + timedelta(seconds=1),
            )  # fmt: skip
            lines.append(to_line(decision) + "\n")
        yield "".join(lines).encode()


def put_scored(s3: Any, lake: Lake, drop: str, rows: pa.Table) -> None:
    """A file of answers about these rows, with a reference to it in the folder of each of their days."""
    bucket, numbers = lake.names.platform.bucket("lake"), np.arange(2, len(rows) + 2)
    beside = {"value": np.ones(len(rows), np.int64), "model_version": ["1"] * len(rows), "row_number": numbers}
    for name, cells in beside.items():
        rows = rows.append_column(name, pa.array(cells))
    pq.write_table(rows, sink := pa.BufferOutputStream())
    s3.put_object(Bucket=bucket, Key=delivered_key("electricity", drop), Body=sink.getvalue().to_pybytes())
    for date, count in rows_by_day(rows[SPEC.event_time]).items():
        own = {"key": SPEC.key, "event_time": SPEC.event_time, "answer": ("value",)}
        known = builders.scored_day(rows=count, inferred_at=datetime(2026, 1, 1, tzinfo=UTC), **own)
        key = reference_key("electricity", date, drop)
        s3.put_object(Bucket=bucket, Key=key, Body=known.model_dump_json().encode())


def done_in_a_process(stage: str, what: Literal["join", "judge"]) -> dict[str, Any]:
    """What it took in a process of its own, and what came of it."""
    job = subprocess.run(
        [sys.executable, "-m", "tests.millrace.datasets.joined_load", stage, what],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        cwd=HOME.parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(job.stdout.splitlines()[-1])
    return found


def judge(lake: Lake) -> dict[str, Any]:
    """The batch of all labels of the table, each turned, beside the decisions of all days.

    A function looks at a few days only, of which each has more decisions than electricity has keys."""
    labels.LOOKS = (DAYS,)
    workload, s3, state = load_workload(HOME), boto3.client("s3"), StateTable(boto3.client("dynamodb"), lake.names)
    table = lake.find("labels")
    assert table is not None
    schema = arrow_schema(lake.contract.labels)
    rows = table.scan().to_arrow()
    rows = rows.set_column(rows.column_names.index("class"), "class", pc.subtract(1, rows["class"]))
    drop = ParsedDrop(
        drop_id="d", as_of=START, source="s3://landing/d", source_key="electricity/labels/d", source_digest="d",
        sequencer="", rows=0, unparsable=0,
    )  # fmt: skip
    judge = labels.LabelJudge(lake, workload, s3, state, rate=0.01)
    batch = judge.judge(drop, rows.select(schema.names).cast(schema), accepted_by="").batch
    assert batch
    return {"labels": batch.labels, "error": batch.figures["error"].rows, "parts": len(batch.parts)}


def main() -> None:
    """Join and pin, or judge."""
    lake, began = lake_of(sys.argv[1]), time.monotonic()
    if sys.argv[2] == "judge":
        said = judge(lake)
    else:
        joined: JoinedLabels | None = None
        while joined is None or joined.has_more:
            joined = join_labels(lake, boto3.client("s3"), SPEC, run="r", before=joined)
        pin(lake, "r")
        said = {"rows": joined.rows, "unmatched": joined.unmatched}
    used = resource.getrusage(resource.RUSAGE_SELF)
    said |= {
        "peak_mb": round(used.ru_maxrss / 1024),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "wall_s": round(time.monotonic() - began, 1),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
