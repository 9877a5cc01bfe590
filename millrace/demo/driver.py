"""What the people around the system do: drop files, ask for predictions, move the clock. Nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from millrace.demo.months import Month, file_to_score, months
from millrace.demo.trace import Step
from millrace.desk import Desk
from millrace.names import WorkloadNames

REST_S = 90.0
"""The longest that any one thing may take before the demo gives up."""
START = datetime.fromisoformat("1997-01-01T08:00:00+00:00")
"""When the cloud's clock begins."""


@dataclass(kw_only=True)
class Driver:
    """The deeds of one demo, in order; `said` tells the person who watches."""

    desk: Desk
    names: WorkloadNames
    sample: Path
    said: Callable[[str], None]
    deeds: list[Step] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What each prediction call answered, without the predictions themselves."""

    def run(self) -> None:
        """The fourteen months."""
        history = months(self.sample, "1996-05", "1996-12")
        self._chapter("ingest, train and release", lambda: self._drop_all(history))
        live = months(self.sample, "1997-01", "1997-06")
        self._chapter("score a file", lambda: self._put("scoring", "week.csv", file_to_score(live[0])))
        for month in live:
            self._month(month)
        self._chapter("half-yearly schedule", lambda: self._clock(live[-1].next_first + timedelta(hours=7)))

    def _drop_all(self, history: list[Month]) -> None:
        for month in history:
            self._put("training", f"{month.name}.parquet", month.drop())

    def _month(self, month: Month) -> None:
        days = list(month.days())
        middle = month.first + timedelta(days=14)
        until = sum(day[0]["timestamp"] < f"{middle:%Y-%m-%d}" for day in days)
        self._chapter(f"{month.name}: predictions until the 14th", lambda: self._predict(month.name, days[:until]))
        self._chapter(f"{month.name}: monitor on the 15th", lambda: self._clock(middle + timedelta(hours=6)))
        self._chapter(f"{month.name}: the rest of the predictions", lambda: self._predict(month.name, days[until:]))
        self._chapter(f"{month.name}: labels", lambda: self._put("labels", f"{month.name}.csv", month.labels()))
        self._chapter(f"{month.name}: monitor on the 1st", lambda: self._clock(month.next_first + timedelta(hours=6)))

    def _chapter(self, title: str, deed: Callable[[], None]) -> None:
        """Do the deed and wait until everything that follows from it has come to rest."""
        begin = time.monotonic()
        self.said(title)
        deed()
        self.desk.wait(timeout_s=REST_S, told=lambda moving: self.said(f"{title}: {', '.join(moving[:3])}"))
        self.said(f"{title}: done in {time.monotonic() - begin:.1f} s")

    def _put(self, feed: str, name: str, body: bytes) -> None:
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        begin = time.monotonic()
        version = self.desk.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        self._did(f"put {feed}/{name}", f"s3://{bucket}/{key}?versionId={version}", begin)

    def _predict(self, month: str, days: list[list[dict[str, Any]]]) -> None:
        """A day of rows per call, in the published order."""
        client = self.desk.client("lambda")
        begin = time.monotonic()
        for rows in days:
            answer = client.invoke(FunctionName=self.names.function("prediction"), Payload=json.dumps({"rows": rows}))
            said = json.load(answer["Payload"])
            if "FunctionError" in answer or len(said.get("predictions", [])) + len(said.get("rejected", [])) != len(
                rows
            ):
                raise RuntimeError(f"prediction: expected an answer for each of {len(rows)} rows, got {said}")
            self.answers.append(
                {
                    "month": month,
                    "rows": len(rows),
                    "fallback": sum(bool(each["fallback"]) for each in said["predictions"]),
                    "rejected": len(said["rejected"]),
                    "versions": sorted({str(each["model_version"]) for each in said["predictions"]}),
                }
            )
        first = days[0][0]["timestamp"][:10]
        self._did(f"predictions from {first}", f"predictions:{first}", begin)

    def _clock(self, to: datetime) -> None:
        begin = time.monotonic()
        self.desk.move_clock(to)
        self._did(f"clock to {to:%Y-%m-%d %H:%M}", to.isoformat(), begin)

    def _did(self, name: str, step_id: str, begin: float) -> None:
        started = datetime.now().astimezone().isoformat()
        self.deeds.append(
            Step(
                name=name, id=step_id, status="DONE", seconds=time.monotonic() - begin, caused_by=None, started=started
            )
        )
