"""Drives a story through the local cloud, action by action."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from millrace.console.actions.approve import approve
from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.queries.versions import climbing_version, find_waiting
from millrace.decisions.review import LabelValue
from millrace.names import WorkloadNames
from millrace.workload.load import SUITE

REST_S = 600.0
"""The longest that the cloud may take until it is idle again after an action, in seconds. A busy machine takes long."""
Action = tuple[str, Callable[[], object]]
"""A description, and the function that does it."""


@dataclass(kw_only=True)
class Driver:
    """Does the actions of one story in order."""

    cloud: LocalCloud
    names: WorkloadNames
    said: Callable[[str], None]
    """Called with a line for each finished chapter."""
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None
    """Called with the chapter and the tasks that still run."""
    begin: float = field(default_factory=time.monotonic)
    _people: dict[str, Environment] = field(default_factory=dict)

    def elapsed_s(self) -> float:
        """Wall-clock seconds since the driver was made."""
        return time.monotonic() - self.begin

    def chapter(self, title: str, actions: Sequence[Action]) -> None:
        """Do the actions one after another. After each, wait until the cloud is idle."""
        begin = self.elapsed_s()
        for words, do in actions:
            doing = f"{title} ({words})" if len(actions) > 1 else title
            self.moving(doing, ())
            do()
            self.cloud.wait(timeout_s=REST_S, busy=partial(self.moving, doing))
        self.said(f"{title}, {self.elapsed_s() - begin:.1f} s")

    def put(self, feed: str, name: str, body: bytes) -> str:
        """Drop a file into a feed of the workload, or put an object below `objects`; returns its version."""
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        return str(self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    def predict(self, chapter: str, what: str, calls: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Request predictions, one call for each list of rows; returns the function's answers."""
        client = self.cloud.client("lambda")
        # Ids of our own, so that each run draws the same requests for a canary and the same labels for a shadow.
        return [self._request(client, f"{chapter} {what} {number}", rows) for number, rows in enumerate(calls)]

    def _request(self, client: Any, call_id: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        payload = json.dumps({"id": call_id.replace(" ", "-"), "rows": rows})
        answer = client.invoke(FunctionName=self.names.prediction, Payload=payload)
        document: dict[str, Any] = json.load(answer["Payload"])
        # Each row is in one of the two lists.
        judged = len(document.get("predictions", [])) + len(document.get("rejected", []))
        if "FunctionError" in answer or judged != len(rows):
            raise RuntimeError(f"prediction: expected an answer for each of {len(rows)} rows, got {document}")
        return document

    def review(self, who: str, values: Mapping[str, LabelValue], *, seconds: float) -> set[str]:
        """A person decides what waits beside or before a climbing version's answer. Returns the cells `id` of the rows.

        `values` are the person's answers by that cell; `seconds` is how long one takes."""
        environment, decided = self.as_person(who), set[str]()
        if climbing_version(environment, self.names) is None:
            return decided
        reviewer = Reviewer.of(environment, self.names, source="terminal")
        while held := reviewer.next():
            if not held.item.is_challengers:
                reviewer.skip(held)
                continue
            key = str(held.item.key["id"])
            reviewer.answer(held, values[key], seconds=seconds)
            decided.add(key)
            # A label is a file of its own, and files that come at once wait for each other.
            reviewer.finish()
            self.cloud.wait(timeout_s=REST_S)
        return decided

    def as_person(self, who: str) -> Environment:
        """The environment as the user of this name reaches it, with keys of their own."""
        if who not in self._people:
            iam = self.cloud.client("iam")
            iam.create_user(UserName=who)
            key = iam.create_access_key(UserName=who)["AccessKey"]["AccessKeyId"]
            client = cache(partial(self.cloud.client, key=key))
            self._people[who] = replace(local_environment(self.cloud), client=client)
        return self._people[who]

    def approve(self, who: str, reason: str) -> None:
        """A person approves the version that waits for one, if any does."""
        environment = self.as_person(who)
        for version in (one.version for one in find_waiting(environment, self.names)):
            approve(environment, self.names, version, reason=reason)

    def clock(self, to: datetime) -> None:
        """Move the cloud's clock to `to`; schedules that are due on the way fire."""
        self.cloud.move_clock(to)


WORKLOADS = SUITE / "workloads"

TWICE_A_MONTH = (
    "The clock stops twice a month, on the 1st and the 15th. The rows of a month's second half and all labels of the "
    "month are sent on its 15th, so they are ahead of the clock by up to half a month."
)
"""A note for the page of a story whose months have two steps each."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One workload of `workloads/`, played in a local cloud of its own, as each story has its own clock."""

    workload: str
    start: datetime
    """The cloud's clock at the start, UTC."""
    play: Callable[[Driver], None]
    """Plays the chapters one after another."""
    span: str
    """The time that passes in the story: `fourteen months`."""
    page: str
    """The file of its report page in the build folder: `report.html`."""
    note: str = ""
    """What a reader of the page must know about when people act; empty if there is nothing to know."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=PLATFORM, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The workload's folder."""
        return WORKLOADS / self.workload
