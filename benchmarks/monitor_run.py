"""A monitor run over a million decisions: `python -m benchmarks.monitor_run [rows]`; the last line is JSON.

Four weeks of `electricity` with 250,000 decisions each, all of them to judge by their input and, as each has its label,
by their error. They lie in the lake as a night leaves them: a Parquet file for each day, and lines that came late. The
run is planned as the function plans it, and judged by the job in a process of its own: CPU seconds from its start on,
and its peak memory. The second table is ten months old, with as many decisions in the windows.

The bars: 10 CPU seconds, and of the old table at most 1.15 times what the young one takes, in seconds and in memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from moto import mock_aws

from benchmarks import conclude
from millrace.aws.objects import read_object
from millrace.contract.load import load_contract
from millrace.decisions import absorbed
from millrace.decisions.absorbed import AbsorbedLines
from millrace.decisions.record import Decision, canonical, prefix, to_line
from millrace.decisions.store import stored_days
from millrace.features import catalogue as encoders
from millrace.functions.plan_windows.inputs import Inputs
from millrace.messages.monitor import MonitorRequest, read_report
from millrace.monitoring.answers import held_answers
from millrace.monitoring.baseline import build
from millrace.monitoring.error import error_bound
from millrace.monitoring.windows import Cursors, plan
from millrace.state.pointers import Version
from millrace.workload.load import load_workload
from tests.credentials import KEYS
from tests.electricity import HOME
from tests.millrace.state.conftest import NAMES

MOST_S, MOST_TIMES = 10.0, 1.15
WEEKS, DAYS, LATE = 4, 28, 500
OLD_DAYS, OLD_ROWS = 270, 5_000
"""Days before the windows in the old table, and the rows of each."""
START = datetime(1997, 6, 4, tzinfo=UTC)
END = START + timedelta(days=DAYS)
BUCKET = NAMES.platform.bucket("lake")
WORKLOAD = load_workload(HOME)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run has cost."""

    cpu_s: float
    peak_mb: float
    calls: int
    """Of S3, to plan it."""
    files: int
    decisions: int


def day_lines(number: int, rows: int, sample: list[dict[str, Any]]) -> Iterator[tuple[str, datetime, int]]:
    """The line of each decision of a day, with its event time and label. The model is right as often as it says."""
    random = np.random.default_rng(number)
    start, step = START + timedelta(days=number), timedelta(days=1) / rows
    drawn = zip(random.integers(len(sample), size=rows), random.beta(4, 1, rows), random.random(rows), strict=True)
    for row, (place, sure, luck) in enumerate(drawn):
        at = (start + row * step).replace(microsecond=0)
        cells = {name: cell for name, cell in sample[place].items() if name != "class"}
        cells["timestamp"] = at.replace(tzinfo=None).isoformat()
        confidence, label = 0.5 + float(sure) / 2, sample[place]["class"]
        value = label if luck < confidence else 1 - label
        decision = Decision(
            id=f"{number:03x}{row:08x}-5b4e3d212f47657f",
            workload="electricity",
            event_time=at,
            key={"timestamp": cells["timestamp"]},
            input=canonical(cells),
            output={"value": value, "probability": confidence if value else 1 - confidence, "confidence": confidence},
            model_version="1",
            phase="live",
            fallback=False,
            latency_ms=3.0 + float(sure),
            inferred_at=at + timedelta(milliseconds=7),
        )
        yield to_line(decision), at, label


def parquet_of(lines: list[str]) -> bytes:
    """The file of absorbed lines of a day."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "lines.parquet")
        parts = (absorbed.table_of("\n".join(lines[at : at + 30_000]).encode()) for at in range(0, len(lines), 30_000))
        absorbed.write_file(path, (part for part in parts if part is not None))
        return path.read_bytes()


def put_day(s3: Any, day: date, body: bytes, rows: int) -> None:
    reference = prefix("electricity", day) + absorbed.reference_name(0)
    taken = AbsorbedLines(rows={"0.jsonl": rows}, absorbed_at=END)
    s3.put_object(Bucket=BUCKET, Key=reference, Body=taken.model_dump_json().encode())
    s3.put_object(Bucket=BUCKET, Key=absorbed.file_of(reference), Body=body)


def fill(s3: Any, rows: int) -> pa.Table:
    """Put the decisions of the windows into the lake. Returns their labels."""
    sample = pq.read_table(HOME / "sample" / "elec2.parquet").slice(0, 12_000).to_pylist()
    times: list[datetime] = []
    labels: list[int] = []
    for number in range(DAYS):
        made = list(day_lines(number, rows // DAYS + (number < rows % DAYS), sample))
        lines, day = [line for line, _, _ in made], (START + timedelta(days=number)).date()
        late = LATE if number == DAYS - 1 else 0
        put_day(s3, day, parquet_of(lines[late:]), len(lines) - late)
        if late:
            body = "\n".join(lines[:late]).encode()
            s3.put_object(Bucket=BUCKET, Key=f"{prefix('electricity', day)}late.jsonl", Body=body)
        times += [at.replace(tzinfo=None) for _, at, _ in made]
        labels += [label for _, _, label in made]
    return pa.table({"timestamp": pa.array(times, pa.timestamp("us")), "class": pa.array(labels, pa.int32())})


def grow_old(s3: Any) -> None:
    """Put the days before the windows into the lake."""
    sample = pq.read_table(HOME / "sample" / "elec2.parquet").slice(0, 12_000).to_pylist()
    body = parquet_of([line for line, _, _ in day_lines(DAYS, OLD_ROWS, sample)])
    for number in range(1, OLD_DAYS + 1):
        put_day(s3, (START - timedelta(days=number)).date(), body, OLD_ROWS)


def baseline_file() -> bytes:
    """The baseline of a champion that was trained on the year before."""
    history = pq.read_table(HOME / "sample" / "elec2.parquet").slice(0, 12_000)
    bound = error_bound([[0.2 + 0.02 * (week % 5) for week in range(60)]], windows=3, rate=0.01)
    features = encoders.declare(WORKLOAD.prediction.features, load_contract(HOME).rows)
    confidence = 0.5 + np.random.default_rng(0).beta(4, 1, 2_000) / 2
    answers = held_answers({"confidence": confidence}, {}, np.arange(len(confidence)), rate=0.01)
    known = build(history, workload=WORKLOAD, features=features, error=bound)
    return replace(known, answers=answers).to_json().encode()


def run(s3: Any, labels: pa.Table, baseline: bytes, name: str) -> Run:
    """Plan a run, fetch its inputs as SageMaker does, and judge it."""
    calls: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name), unique_id=name)
    first = min(stored_days(s3, NAMES.platform.bucket("lake"), NAMES.workload))
    windows = plan(
        cursors=Cursors(input=START, error=START),
        first=first,
        as_of=END,
        days=WORKLOAD.monitors.window_days,
        in_a_row=1,
    )[-WEEKS:]
    champion = Version(package_arn="", version="1", model_name="", run="", baseline_uri="")
    judged = windows
    request = MonitorRequest(workload=NAMES.workload, as_of=END, model_version="1", windows=judged, registered_at=START)
    inputs = Inputs(s3=s3, names=NAMES, run=name)
    planned = inputs.write(request, folder=HOME, windows=windows, labels=labels, champion=champion)
    s3.meta.events.unregister("before-call.s3", unique_id=name)
    with TemporaryDirectory() as folder:
        root = Path(folder, "processing")
        for part in ("config", "labels"):
            fetch_below(s3, getattr(planned, f"{part}_uri"), root / part)
        (root / "baseline").mkdir()
        (root / "baseline" / "baseline.json").write_bytes(baseline)
        shared, *paths = json.loads(read_object(s3, planned.manifest_uri))
        for path in paths:
            fetch(s3, shared["prefix"] + path, root / "decisions" / path)
        job = subprocess.Popen(
            [sys.executable, "-m", "millrace.jobs.monitoring"],
            env=os.environ | {"MILLRACE_ML_ROOT": folder},
            cwd=HOME.parents[1],
        )
        usage = os.wait4(job.pid, 0)[2]  # a job that fails has said why, and leaves no report
        report = read_report((root / "report" / "report.json").read_bytes())
    return Run(
        cpu_s=round(usage.ru_utime + usage.ru_stime, 2),
        peak_mb=round(usage.ru_maxrss / 1024),
        calls=len(calls),
        files=len(paths),
        decisions=sum(window.decisions for window in report.windows),
    )


def fetch_below(s3: Any, uri: str, target: Path) -> None:
    prefix_ = uri.partition(f"{BUCKET}/")[2]
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix_)["Contents"]:
        fetch(s3, f"s3://{BUCKET}/{entry['Key']}", target / entry["Key"].removeprefix(prefix_))


def fetch(s3: Any, uri: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(read_object(s3, uri))


def verdict(*, rows: int, young: Run, old: Run) -> dict[str, Any]:
    """The result: the slower of the two runs, and what age adds."""
    slower, times = max(young.cpu_s, old.cpu_s), round(old.cpu_s / young.cpu_s, 2)
    memory = round(old.peak_mb / young.peak_mb, 2)
    is_same = (old.calls, old.files) == (young.calls, young.files) and young.decisions == old.decisions == rows
    return {
        "name": "monitor_run",
        "figure": slower,
        "unit": f"CPU seconds for {rows:,} decisions",
        "bar": MOST_S,
        "times_with_age": times,
        "memory_with_age": memory,
        "peak_mb": [young.peak_mb, old.peak_mb],
        "calls": [young.calls, old.calls],
        "holds": slower <= MOST_S and max(times, memory) <= MOST_TIMES and is_same,
    }


def main() -> None:
    """Print the figures; the last line says whether the bars hold, and the exit status is 1 where one is missed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    os.environ |= KEYS
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        labels, baseline = fill(s3, rows), baseline_file()
        young = run(s3, labels, baseline, "young")
        print(f"a month: {young}")
        grow_old(s3)
        old = run(s3, labels, baseline, "old")
        print(f"ten months: {old}")
    conclude(verdict(rows=rows, young=young, old=old))


if __name__ == "__main__":
    main()
