"""The shipped workload `electricity` with a changed declaration, live in a cloud of its own; rows and time for it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, started
from millrace.names import WorkloadNames
from tests.live import Live

HOME = Path(__file__).resolve().parents[1] / "workloads" / "electricity"
SAMPLE = HOME / "sample" / "elec2.parquet"
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
KNOWN = 11_500
"""The rows of the sample that the live version knows."""
DAY = 48
"""The rows of a day."""
NEVER = "cron(0 7 1 1 ? 2199)"
UNSCHEDULED = {"cron(0 6 1,15 * ? *)": NEVER, "cron(0 7 1 1,7 ? *)": NEVER}
"""Changes with which no monitor runs and no schedule trains."""
AGAINST_BASE_RATE = {
    "baseline: {kind: seasonal_naive, lag_hours: 24, margin: 0.01}": "baseline: {kind: base_rate, margin: 0.01}"
}
"""A change with which a version of changed rows passes its gates."""


@dataclass(frozen=True, kw_only=True)
class Electricity(Live):
    """A cloud in which a version of the workload is live."""

    names: WorkloadNames = NAMES

    def predict(self, call: str, rows: pa.Table) -> list[dict[str, Any]]:
        """What the prediction function answers to these rows, whose label it is not told."""
        cells = [row | {"timestamp": row["timestamp"].isoformat()} for row in rows.drop_columns(["class"]).to_pylist()]
        return self.ask(call, cells)

    def last_day(self) -> list[dict[str, Any]]:
        """The rows of the last known day, as if they had come half an hour after half an hour until now."""
        newest = sample(KNOWN - DAY, DAY).drop_columns(["class"]).to_pylist()
        begin = self.now().replace(minute=0, second=0, microsecond=0, tzinfo=None) - timedelta(days=1)
        return [
            row | {"timestamp": (begin + number * timedelta(minutes=30)).isoformat()}
            for number, row in enumerate(newest)
        ]

    def answering(self, name: str, count: int) -> list[str | None]:
        """The versions that answered so many calls, each of a row of the last day; a model answers every call."""
        newest = self.last_day()
        calls = ((f"{name}-{number}", [newest[number % DAY]]) for number in range(count))
        return [one["model_version"] for call in calls for one in self.ask(*call)]


def live_at_once(declared: str) -> str:
    """The text of workload.yaml with a rollout whose versions go live as soon as they have passed their gates."""
    found, count = re.subn(r"  phases: .*?\n(?=  instance:)", "  phases: [live]\n", declared, flags=re.DOTALL)
    assert count == 1
    return found


@contextmanager
def live_electricity(
    folder: Path, *, clock: datetime = CLOCK, added: str = "", changes: Mapping[str, str] | None = None
) -> Iterator[Electricity]:
    """A cloud in which version 1 is live, and which the commands in the block reach. Its versions go live at once;
    `changes` are texts of that workload.yaml and what stands in their place, `added` stands behind it.
    Other workloads in the folder are deployed with it."""
    own = folder / "workloads" / "electricity"
    shutil.copytree(HOME, own)
    declared = live_at_once((own / "workload.yaml").read_text())
    for before, after in (changes or {}).items():
        assert declared.count(before) == 1
        declared = declared.replace(before, after)
    (own / "workload.yaml").write_text(declared + added)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        patch.setenv("MILLRACE_WORKLOAD", "electricity")
        with started(folder / "build", clock=clock, workloads=os.listdir(own.parent)) as started_cloud:
            cloud = Electricity(endpoint_url=started_cloud.endpoint_url, secret=started_cloud.secret)
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            cloud.drop("training/known", sample(0, KNOWN))
            yield cloud


def sample(first: int, count: int) -> pa.Table:
    return pq.read_table(SAMPLE).slice(first, count)
