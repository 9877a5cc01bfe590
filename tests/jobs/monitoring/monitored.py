"""Folders of a drift job, and the report that it leaves in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.decisions.record import Decision, to_line
from millrace.jobs.monitoring.job import monitor
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.monitor import MonitorReport, read_report

WEEK = timedelta(days=7)


def weeks(start: datetime, count: int) -> list[dict[str, str]]:
    """Successive windows of a week."""
    starts = [start + number * WEEK for number in range(count)]
    return [{"start": at.isoformat(), "end": (at + WEEK).isoformat()} for at in starts]


def prepared(
    root: Path,
    folder: Path,
    *,
    baseline: str,
    decisions: Sequence[Decision],
    labels: pa.Table,
    windows: list[dict[str, Any]],
    **request: Any,
) -> ProcessingPlaces:
    """The folders of a job of the workload in `folder`, which judges inputs and errors of all windows."""
    home = root / "processing"
    for name in ("config", "baseline", "decisions/date=0", "decisions/date=1", "labels"):
        (home / name).mkdir(parents=True)
    (home / "baseline" / "baseline.json").write_text(baseline)
    for place in (0, 1):
        lines = [f"{to_line(one)}\n" for one in decisions[place::2]]
        (home / "decisions" / f"date={place}" / "x.jsonl").write_text("".join(lines))
    pq.write_table(labels, home / "labels" / "labels.parquet")
    for name in ("workload.yaml", "contract.yaml"):
        (home / "config" / name).write_bytes((folder / name).read_bytes())
    judged = [{"judge_input": True, "judge_error": True} | window for window in windows]
    document = {"workload": folder.name, "as_of": windows[-1]["end"], "model_version": "1", "windows": judged}
    (home / "config" / "request.json").write_text(json.dumps(document | request))
    return ProcessingPlaces(root=root)


def report_of(places: ProcessingPlaces) -> MonitorReport:
    monitor(places)
    return read_report((places.root / "processing" / "report" / "report.json").read_bytes())


def monitored(root: Path, folder: Path, **given: Any) -> MonitorReport:
    """The report on folders as `prepared` writes them."""
    return report_of(prepared(root, folder, **given))
