"""The actions of people in the demo: drop files, request predictions, move the clock. Nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from console.demo.months import HISTORY, Month, file_to_score, months
from console.demo.steps import Step
from console.local_cloud.local_cloud import LocalCloud
from millrace.names import WorkloadNames

REST_S = 90.0
"""Seconds after an action within which the cloud must be idle again."""
START = datetime.fromisoformat("1997-01-01T08:00:00+00:00")
"""The cloud's clock at the start."""
Action = tuple[str, Callable[[], None]]
"""(description, action)."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One call for predictions, without the predictions themselves."""

    month: str
    """`1997-05`."""
    day: date
    """Of its rows."""
    rows: int
    fallback: int
    """Rows answered by the fallback."""
    rejected: int
    versions: tuple[str, ...]
    """Model versions that answered."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"day": self.day.isoformat(), "versions": list(self.versions)}


@dataclass(kw_only=True)
class Driver:
    """The actions of one demo, in order."""

    cloud: LocalCloud
    names: WorkloadNames
    sample: Path
    said: Callable[[str], None]
    """Called with a line for each finished chapter."""
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None
    """Called with the chapter and what still runs."""
    actions: list[Step] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
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
        """Wall-clock seconds since the driver was made."""
        return time.monotonic() - self.begin

    def _drop_all(self, history: list[Month]) -> None:
        for month in history:
            self._put("training", f"{month.name}.parquet", month.drop())

    def _month(self, month: Month) -> list[Action]:
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

    def _chapter(self, title: str, actions: Sequence[Action]) -> None:
        """Do the actions; after each, wait until the cloud is idle."""
        begin = self.elapsed_s()
        for words, do in actions:
            doing = f"{title} ({words})" if len(actions) > 1 else title
            self.moving(doing, ())
            do()
            self.cloud.wait(timeout_s=REST_S, busy=partial(self.moving, doing))
        self.said(f"{title}, {self.elapsed_s() - begin:.1f} s")

    def _put(self, feed: str, name: str, body: bytes) -> None:
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        with self._step("put", f"put {feed}/{name}") as done:
            version = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
            done(f"s3://{bucket}/{key}?versionId={version}")

    def _predict(self, month: str, days: list[list[dict[str, Any]]]) -> None:
        """A day of rows per call, in the published order."""
        client, first, last = self.cloud.client("lambda"), days[0][0]["timestamp"][:10], days[-1][0]["timestamp"][:10]
        outcome = f"{sum(map(len, days)):,} rows"
        with self._step("predictions", f"predictions {first} to {last}", outcome) as done:
            self.answers += [self._request(client, month, rows) for rows in days]
            done(f"predictions:{first}")

    def _request(self, client: Any, month: str, rows: list[dict[str, Any]]) -> Answer:
        answer = client.invoke(FunctionName=self.names.function("prediction"), Payload=json.dumps({"rows": rows}))
        said = json.load(answer["Payload"])
        if "FunctionError" in answer or len(said.get("predictions", [])) + len(said.get("rejected", [])) != len(rows):
            raise RuntimeError(f"prediction: expected an answer for each of {len(rows)} rows, got {said}")
        return Answer(
            month=month,
            day=datetime.fromisoformat(rows[0]["timestamp"]).date(),
            rows=len(rows),
            fallback=sum(bool(each["fallback"]) for each in said["predictions"]),
            rejected=len(said["rejected"]),
            versions=tuple(sorted({each["model_version"] for each in said["predictions"] if each["model_version"]})),
        )

    def _clock(self, to: datetime) -> None:
        with self._step("clock", f"clock to {to:%Y-%m-%d %H:%M}") as done:
            self.cloud.move_clock(to)
            done(to.isoformat())

    @contextmanager
    def _step(self, kind: str, subject: str, outcome: str = "") -> Iterator[Callable[[str], None]]:
        """Records the action with its duration; the block calls the value with the action's id."""
        started, begin = self.cloud.now(), self.elapsed_s()
        yield lambda step_id: self.actions.append(
            Step(
                kind=kind,
                subject=subject,
                outcome=outcome,
                id=step_id,
                status="DONE",
                seconds=self.elapsed_s() - begin,
                caused_by=None,
                started=started,
            )
        )
