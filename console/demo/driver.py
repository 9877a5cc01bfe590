"""What the people around the system do: drop files, ask for predictions, move the clock. Nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from console.demo.months import HISTORY, Month, file_to_score, months
from console.demo.steps import Noted, Step
from console.local_cloud.local_cloud import LocalCloud
from millrace.names import WorkloadNames

REST_S = 90.0
"""The longest that any one thing may take before the demo gives up."""
START = datetime.fromisoformat("1997-01-01T08:00:00+00:00")
"""When the cloud's clock begins."""
Deed = tuple[str, Callable[[], None]]
"""What somebody does, in a few words, and the doing."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One call for predictions and what came back, without the predictions themselves."""

    deed: str
    """Id of the step that it belongs to."""
    month: str
    day: date
    """Of its rows."""
    rows: int
    fallback: int
    """Rows that no model answered."""
    rejected: int
    versions: tuple[str, ...]
    """Of the models that answered."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"day": self.day.isoformat(), "versions": list(self.versions)}


@dataclass(kw_only=True)
class Driver:
    """The deeds of one demo, in order."""

    cloud: LocalCloud
    names: WorkloadNames
    sample: Path
    said: Callable[[str], None]
    """Told of each finished chapter."""
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None
    """Told what is going on: the chapter and what still moves."""
    deeds: list[Step] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    """Both clocks, before each deed and after each move."""
    begin: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """The fourteen months."""
        history = months(self.sample, *HISTORY)
        live = months(self.sample, "1997-01", "1997-06")
        week = file_to_score(live[0])
        self._chapter(
            "May to December 1996: eight files with labels", [("eight files", lambda: self._drop_all(history))]
        )
        self._chapter("A file to score", [("one file", lambda: self._put("scoring", "week.csv", week))])
        for month in live:
            self._chapter(f"{month.first:%B %Y}: predictions, labels, two monitor runs", self._month(month))
        schedule = live[-1].next_first + timedelta(hours=7)
        self._chapter("The half-yearly retraining falls due", [("an hour passes", lambda: self._clock(schedule))])

    def elapsed_s(self) -> float:
        """Seconds on the wall since the first deed could be done."""
        return time.monotonic() - self.begin

    def _drop_all(self, history: list[Month]) -> None:
        for month in history:
            self._put("training", f"{month.name}.parquet", month.drop())

    def _month(self, month: Month) -> list[Deed]:
        days = list(month.days())
        middle = month.first + timedelta(days=14)
        until = sum(day[0]["timestamp"] < f"{middle:%Y-%m-%d}" for day in days)
        return [
            ("predictions of its first half", lambda: self._predict(month.name, days[:until])),
            ("the 15th, monitor", lambda: self._clock(middle + timedelta(hours=6))),
            ("predictions of its second half", lambda: self._predict(month.name, days[until:])),
            ("labels", lambda: self._put("labels", f"{month.name}.csv", month.labels())),
            ("the next 1st, monitor", lambda: self._clock(month.next_first + timedelta(hours=6))),
        ]

    def _chapter(self, title: str, deeds: Sequence[Deed]) -> None:
        """Do the deeds; after each, wait until everything that follows from it has come to rest."""
        begin = self.elapsed_s()
        for words, do in deeds:
            doing = f"{title} ({words})" if len(deeds) > 1 else title
            self.moving(doing, ())
            do()
            self.cloud.wait(timeout_s=REST_S, told=partial(self.moving, doing))
        self.said(f"{title}, {self.elapsed_s() - begin:.1f} s")

    def _put(self, feed: str, name: str, body: bytes) -> None:
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        note = self._note()
        version = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        self._did("put", f"put {feed}/{name}", f"s3://{bucket}/{key}?versionId={version}", note)

    def _predict(self, month: str, days: list[list[dict[str, Any]]]) -> None:
        """A day of rows per call, in the published order."""
        client, note = self.cloud.client("lambda"), self._note()
        first, last = days[0][0]["timestamp"][:10], days[-1][0]["timestamp"][:10]
        deed = f"predictions:{first}"
        self.answers += [self._ask(client, deed, month, rows) for rows in days]
        self._did("predictions", f"predictions {first} to {last}: {sum(map(len, days)):,} rows", deed, note)

    def _ask(self, client: Any, deed: str, month: str, rows: list[dict[str, Any]]) -> Answer:
        answer = client.invoke(FunctionName=self.names.function("prediction"), Payload=json.dumps({"rows": rows}))
        said = json.load(answer["Payload"])
        if "FunctionError" in answer or len(said.get("predictions", [])) + len(said.get("rejected", [])) != len(rows):
            raise RuntimeError(f"prediction: expected an answer for each of {len(rows)} rows, got {said}")
        return Answer(
            deed=deed,
            month=month,
            day=datetime.fromisoformat(rows[0]["timestamp"]).date(),
            rows=len(rows),
            fallback=sum(bool(each["fallback"]) for each in said["predictions"]),
            rejected=len(said["rejected"]),
            versions=tuple(sorted({each["model_version"] for each in said["predictions"] if each["model_version"]})),
        )

    def _clock(self, to: datetime) -> None:
        note = self._note()
        self.cloud.move_clock(to)
        self.noted.append(Noted(wall_s=note.wall_s, cloud=to))
        self._did("clock", f"clock to {to:%Y-%m-%d %H:%M}", to.isoformat(), note)

    def _note(self) -> Noted:
        note = Noted(wall_s=self.elapsed_s(), cloud=self.cloud.now())
        self.noted.append(note)
        return note

    def _did(self, kind: str, name: str, step_id: str, note: Noted) -> None:
        self.deeds.append(
            Step(
                kind=kind,
                name=name,
                id=step_id,
                status="DONE",
                seconds=self.elapsed_s() - note.wall_s,
                caused_by=None,
                started=note.cloud,
                at_s=note.wall_s,
            )
        )
