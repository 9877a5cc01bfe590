"""Drives a story through the local cloud, action by action."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from millrace.console.actions.approve import approve
from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.presenters.catalogue import outcome, titled
from millrace.console.queries.executions import Execution, objects_of
from millrace.console.queries.monitoring import AlarmRaised, alarms
from millrace.console.queries.runs import parent_of
from millrace.console.queries.versions import climbing_version, find_waiting
from millrace.decisions.review import LabelValue
from millrace.names import WorkloadNames
from millrace.workload.load import SUITE


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action, alarm or execution.

    For example `{"kind": "release", "subject": "release version 2", "outcome": "", "name": "release version 2",
    "id": "arn:…", "status": "SUCCEEDED", "seconds": 3.3, "caused_by": "arn:…", "started": "1997-05-15T06:00:25+00:00"}`
    in `demo.json`."""

    kind: str
    """`put`, `predictions`, `review`, `approval` or `clock` for an action, `alarm` for an alarm, else the
    name of the machine."""
    subject: str
    """What the step is about, for example `train alarm`."""
    id: str
    """The ARN of an execution, the cause of an alarm; of an action its object, its time or its description."""
    status: str
    seconds: float
    caused_by: str | None
    """The id of another step; None for an action."""
    started: datetime
    """By the cloud's clock, which the driver moves."""
    outcome: str = ""
    """For example `version 2`; empty if there is none."""

    @property
    def name(self) -> str:
        """Subject and outcome, for example `train alarm: version 2`."""
        return f"{self.subject}: {self.outcome}" if self.outcome else self.subject

    def as_json(self) -> dict[str, Any]:
        rounded = {"seconds": round(self.seconds, 3), "started": self.started.isoformat()}
        return asdict(self) | rounded | {"name": self.name}


def steps(names: WorkloadNames, found: Sequence[Execution], actions: Sequence[Step]) -> list[Step]:
    """All steps in the order of time. `found` are executions, `actions` are what the driver did."""
    # An execution that an alarm started gets two steps: the alarm, and the execution that the alarm caused.
    raised = {alarm.execution_arn: alarm for alarm in alarms(names, found)}
    result = list(actions)
    for execution in found:
        alarm = raised.get(execution.arn)
        if alarm:
            result.append(_alarm(alarm, execution, found))
        result.append(
            Step(
                kind=execution.machine,
                subject=titled(names, execution),
                outcome=outcome(execution).text,
                id=execution.arn,
                status=execution.status,
                seconds=execution.seconds,
                caused_by=str(execution.input["cause"]) if alarm else _cause(execution, actions),
                started=execution.started,
            )
        )
    return sorted(result, key=lambda step: step.started)


def _cause(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the step that caused the execution; None if none is known.

    It is the execution that started it or put its event, else what a person did: the object, the move of the clock, the
    approval."""
    found = parent_of(execution.input) or _put(execution, actions) or _move(execution, actions)
    return found or _approval(execution, actions)


def _approval(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of a person's approval of the version that the execution releases."""
    version = str(execution.input.get("detail", {}).get("package_arn", "")).rpartition("/")[2]
    approved = (action.id for action in actions if action.id == f"approval:{version}")
    return next(approved, None)


def _put(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the last put object that the execution works on."""
    objects = objects_of(execution.input.get("detail") or {})
    uris = [f"s3://{put.get('bucket')}/{put.get('key')}?versionId={put.get('version_id')}" for put in objects]
    return next((action.id for action in reversed(actions) if action.id in uris), None)


def _move(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the first move of the clock to the time of the schedule, or beyond it. None unless a schedule started
    the execution."""
    if "schedule" not in execution.input.get("detail", {}):
        return None
    due = datetime.fromisoformat(str(execution.input["as_of"]))
    moves = [step.id for step in actions if step.kind == "clock" and datetime.fromisoformat(step.id) >= due]
    return min(moves, key=datetime.fromisoformat, default=None)


def _alarm(alarm: AlarmRaised, execution: Execution, found: Sequence[Execution]) -> Step:
    """The step for an alarm's change of state. Its cause is the monitor run before it, which published the metric."""
    # The metric does not say which run published it. `found` is in the order of time, so it was the last monitor run
    # before the alarm.
    before = [each for each in found if each.machine == "monitor" and each.started < alarm.at]
    return Step(
        kind="alarm",
        subject=f"alarm {alarm.name}",
        id=str(execution.input["cause"]),
        status=str(execution.input["detail"]["state"]["value"]),
        seconds=0,
        caused_by=before[-1].arn if before else None,
        started=alarm.at,
    )


REST_S = 180.0
"""The longest that the cloud may take until it is idle again after an action, in seconds."""
Action = tuple[str, Callable[[], object]]
"""A description, and the function that does it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The figures of one call for predictions, without the predictions."""

    chapter: str
    """For example `1997-05`."""
    rows: int
    fallback: int
    """Rows answered by the fallback."""
    rejected: int
    """Rows that were refused."""
    versions: tuple[str, ...]
    """The model versions that answered."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"versions": list(self.versions)}


@dataclass(kw_only=True)
class Driver:
    """Does the actions of one story in order, and records each of them."""

    cloud: LocalCloud
    names: WorkloadNames
    said: Callable[[str], None]
    """Called with a line for each finished chapter."""
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None
    """Called with the chapter and the tasks that still run."""
    actions: list[Step] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
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
        with self._step("put", f"put {feed}/{name}") as done:
            # The version makes the id: executions name the very object that started them, also after a second drop.
            version: str = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
            done(f"s3://{bucket}/{key}?versionId={version}")
        return version

    def predict(self, chapter: str, what: str, calls: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Request predictions, one call for each list of rows; returns the function's answers."""
        client, outcome = self.cloud.client("lambda"), f"{sum(map(len, calls)):,} rows"
        with self._step("predictions", f"predictions {what}", outcome) as done:
            # Ids of our own, so that each run draws the same requests for a canary and the same labels for a shadow.
            answers = [self._request(client, f"{chapter} {what} {number}", rows) for number, rows in enumerate(calls)]
            done(f"predictions:{chapter}:{what}")
        self.answers += [_answer(chapter, len(rows), document) for rows, document in zip(calls, answers, strict=True)]
        return answers

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
        with self._step("review", f"{who} decides rows that a new version has answered") as done:
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
            if decided:
                done(f"review:{self.cloud.now().isoformat()}")
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
            with self._step("approval", f"{who} approves version {version}", reason) as done:
                approve(environment, self.names, version, reason=reason)
                done(f"approval:{version}")

    def clock(self, to: datetime) -> None:
        """Move the cloud's clock to `to`; schedules that are due on the way fire."""
        with self._step("clock", f"clock to {to:%Y-%m-%d %H:%M}") as done:
            self.cloud.move_clock(to)
            done(to.isoformat())

    @contextmanager
    def _step(self, kind: str, subject: str, outcome: str = "") -> Iterator[Callable[[str], None]]:
        """Record the block's action and its duration. The block calls the yielded function with the action's id."""
        # `started` is by the cloud's clock, for the order of the steps; `begin` is by this machine's clock, for the
        # duration.
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


def _answer(chapter: str, rows: int, document: dict[str, Any]) -> Answer:
    predictions = document["predictions"]
    return Answer(
        chapter=chapter,
        rows=rows,
        fallback=sum(bool(each["fallback"]) for each in predictions),
        rejected=len(document["rejected"]),
        versions=tuple(sorted({each["model_version"] for each in predictions if each["model_version"]})),
    )


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
