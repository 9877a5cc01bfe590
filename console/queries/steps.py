"""The states that an execution entered, in order: how each ended, what its task called, and what this has logged.

A redrive does not enter a state again. Its events link back to the state's first entry. So the links say to which state
an event belongs, not the order of the events.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

from millrace.console.queries.executions import document_of
from millrace.messages.training_job import VALIDATION_LOSS, pattern
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload, workloads_folder

Outcome = Literal["succeeded", "failed", "caught", "stopped", "running"]
ENDINGS = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
"""The events with which an execution ends without success."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """The last call of a task."""

    service: str
    """For example `lambda`, `sagemaker`, `events`, `states` or `aws-sdk:…`."""
    action: str
    """For example `invoke` or `createTrainingJob.sync`."""
    parameters: Mapping[str, Any]
    started: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """One state that an execution entered."""

    name: str
    kind: str
    """For example `Task`, `Choice` or `Pass`."""
    entered: datetime
    ended: datetime | None = None
    """None while it runs."""
    outcome: Outcome = "running"
    tries: int = 0
    """How often its task was started: once, and again for each retry and redrive."""
    error: str = ""
    cause: str = ""
    """Error and cause are those of the last try that failed."""
    call: Call | None = None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.entered).total_seconds() if self.ended else None


@dataclass(kw_only=True)
class _Reader:
    """Reads the events of a history into steps.

    A step is known by the id of the event that entered it:

        event 4  TaskStateEntered  previous 3    step 4 begins
        event 5  TaskScheduled     previous 4    belongs to step 4, by its link
        event 6  TaskStarted       previous 5    belongs to step 4, by the link of its link"""

    steps: dict[int, Step] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)
    """By the event's id: the step that the event belongs to; 0 for none."""
    failed: set[int] = field(default_factory=set)
    """The ids of the events that say that a task failed."""

    def read(self, event: Mapping[str, Any]) -> None:
        kind, number, before = str(event["type"]), int(event["id"]), int(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            self.owner[number], name = number, event["stateEnteredEventDetails"]["name"]
            kind = kind.removesuffix("StateEntered")
            self.steps[number] = Step(name=name, kind=kind, entered=event["timestamp"])
            return
        at = self.owner[number] = self.owner.get(before, 0)
        # A state that is left right after a failure of its task has caught that failure.
        if kind.endswith("StateExited"):
            self.owner[number] = self._exit(event, at, caught=before in self.failed)
        elif kind == "ExecutionRedriven":
            # What had failed or was stopped runs again.
            for number, step in self.steps.items():
                if step.outcome in ("failed", "stopped"):
                    self._set(number, outcome="running", ended=None)
        elif kind in ENDINGS:
            self._end(event, at)
        elif at:
            self._task(event, at, kind)

    def _exit(self, event: Mapping[str, Any], at: int, *, caught: bool) -> int:
        """Close the step that was left; returns its number.

        The link of a Parallel's or a Map's exit leads to a state inside of it, so the name decides."""
        name = event["stateExitedEventDetails"]["name"]
        if at not in self.steps or self.steps[at].name != name:
            # The last step of this name that is still open.
            still = (each for each in reversed(self.steps) if self.steps[each].ended is None)
            at = next((each for each in still if self.steps[each].name == name), at)
        if at in self.steps:
            outcome: Outcome = "caught" if caught else "succeeded"
            self._set(at, ended=event["timestamp"], outcome=outcome)
        return at

    def _end(self, event: Mapping[str, Any], at: int) -> None:
        """The execution ended without success: close every step that still runs."""
        details: Mapping[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        for number, step in list(self.steps.items()):
            if step.outcome != "running":
                continue
            # A Choice or Pass has no task: its failure is only in the execution's last event.
            has_failed = step.error or (number == at and event["type"] == "ExecutionFailed")
            self._set(number, ended=event["timestamp"], outcome="failed" if has_failed else "stopped")
            if number == at and not step.error:
                self._set(number, error=details.get("error") or "", cause=details.get("cause") or "")

    def _task(self, event: Mapping[str, Any], at: int, kind: str) -> None:
        """An event of a task: another try, or a failure."""
        if kind.endswith("Scheduled"):
            self._set(at, tries=self.steps[at].tries + 1, call=_call(event) or self.steps[at].call)
        elif kind.endswith(("Failed", "TimedOut")):
            self.failed.add(int(event["id"]))
            details = next((value for key, value in event.items() if key.endswith("EventDetails")), None)
            if details is not None:
                self._set(at, error=details.get("error") or "", cause=details.get("cause") or "")

    def _set(self, number: int, **changed: Any) -> None:
        self.steps[number] = replace(self.steps[number], **changed)


def read_steps(history: Iterable[Mapping[str, Any]]) -> list[Step]:
    """The states in the order in which they were entered."""
    reader = _Reader()
    for event in history:
        reader.read(event)
    return list(reader.steps.values())


def failed_step(steps: Sequence[Step]) -> Step | None:
    """The innermost state that made the execution fail. If it was stopped or out of time, the state that ran then."""
    for outcome in ("failed", "stopped"):
        found = [step for step in steps if step.outcome == outcome]
        if found:
            # A state with a call of its own lies inside the Parallel or Map that failed with it.
            return max(found, key=lambda step: step.call is not None)
    return None


def _call(event: Mapping[str, Any]) -> Call | None:
    details = event.get("taskScheduledEventDetails")
    if details is None:
        return None
    return Call(
        service=details["resourceType"],
        action=details["resource"],
        parameters=json.loads(details["parameters"]),
        started=event["timestamp"],
    )


GROUPS = {
    "createTrainingJob": ("/aws/sagemaker/TrainingJobs", "TrainingJobName"),
    "createProcessingJob": ("/aws/sagemaker/ProcessingJobs", "ProcessingJobName"),
    "createTransformJob": ("/aws/sagemaker/TransformJobs", "TransformJobName"),
}
"""By the call that makes a job: its log group, and the parameter with the job's name."""
BEFORE, AFTER = timedelta(seconds=1), timedelta(seconds=5)
"""How much earlier and later than the step its log may begin and end: two services do not share a clock."""
REQUEST = re.compile(r'(?:"(?:function_request_id|requestId)": ?"|RequestId: )([0-9a-f-]{36})')
"""How Powertools, the Lambda runtime and the platform write the id of an invocation."""
EPOCH = re.compile(rf"epoch=(\d+) .*{pattern(VALIDATION_LOSS)}")
"""How a training job tells the end of an epoch."""
TAIL = 10
"""How many of a training job's last lines are looked at."""
READ = 10_000
"""How many lines are looked at, at most."""
ENVELOPE = {
    *("level", "message", "exception", "exception_name", "stack_trace", "location", "timestamp", "service", "logger"),
    *("errorType", "errorMessage", "stackTrace", "cold_start", "function_name", "function_memory_size"),
    *("function_arn", "function_request_id", "requestId", "xray_trace_id", "sampling_rate", "correlation_id"),
}
"""Keys that Powertools and the Lambda runtime write into each line; all others are fields of the one who logs."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a log."""

    at: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Log:
    """Where a step's log lies, and its last lines."""

    group: str
    """The log group; empty if the called service writes no log."""
    stream: str
    """How the names of the streams begin; empty for all streams."""
    lines: list[Line]


def read_log(logs: Any, step: Step, *, most: int = 50) -> Log:
    """The last lines that the step's function or job wrote. `logs` is boto3's CloudWatch Logs client."""
    source = _log_source(step)
    if source is None or step.call is None:
        return Log(group="", stream="", lines=[])
    group, stream, request = source
    query: dict[str, Any] = {"logGroupName": group, "startTime": _milliseconds(step.call.started - BEFORE)}
    if step.ended is not None:
        query["endTime"] = _milliseconds(step.ended + AFTER)
    if stream:
        query["logStreamNamePrefix"] = stream
    try:
        pages = logs.get_paginator("filter_log_events").paginate(**query)
        events = list(islice((event for page in pages for event in page["events"]), READ))
    except logs.exceptions.ResourceNotFoundException:
        events = []
    # A line that names no invocation is kept: it may belong to this one.
    named = [(event, REQUEST.search(event["message"])) for event in events]
    found = [event for event, of in named if not (request and of) or of[1] == request]
    return Log(group=group, stream=stream, lines=[_line(event) for event in found[-most:]])


def read_function(logs: Any, function: str, *, most: int) -> Log | None:
    """The last lines of the function's newest stream; None if it has no log group."""
    group = f"/aws/lambda/{function}"
    try:
        query = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": 1}
        streams = logs.describe_log_streams(**query)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return None
    name = streams[0]["logStreamName"] if streams else ""
    query = {"logGroupName": group, "logStreamName": name, "limit": most}
    events = logs.get_log_events(**query)["events"] if streams else []
    return Log(group=group, stream=name, lines=[_line(event) for event in events])


def read_epoch(logs: Any, names: WorkloadNames, job: str) -> str:
    """Where a training job is: `epoch 7 of at most 30, validation loss 0.4112`; empty if it has not told.

    The most epochs are those of the declaration in this checkout."""
    group, _ = GROUPS["createTrainingJob"]
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        # Of several instances the first one speaks for all.
        tail = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], limit=TAIL)["events"]
    except (IndexError, logs.exceptions.ClientError):
        return ""
    told = [found for event in tail if (found := EPOCH.match(event["message"]))]
    if not told:
        return ""
    declared = load_workload(workloads_folder() / names.workload).training.family_parameters().epochs
    return f"epoch {int(told[-1][1]) + 1} of at most {declared}, validation loss {float(told[-1][2]):.4g}"


def _line(event: Mapping[str, Any]) -> Line:
    return Line(at=datetime.fromtimestamp(event["timestamp"] / 1000, UTC), text=event["message"].rstrip())


def plainly(text: str) -> str:
    """Level, message, fields and exception of a line of JSON. Other lines are returned unchanged.

    `WARNING decisions not taken · consumer=crm · reason=webhook localhost: expected 2xx, got 500`"""
    entry = document_of(text) or {}
    if not {"message", "errorMessage"} & set(entry):
        return text
    # An error of the Lambda runtime has `errorType`, `errorMessage` and `stackTrace`. A line of Powertools has
    # `message` and `exception`.
    error = ": ".join(str(entry[key]) for key in ("errorType", "errorMessage") if entry.get(key))
    trace = entry.get("exception") or "\n".join(str(frame).rstrip() for frame in entry.get("stackTrace") or ())
    parts = (entry.get("message"), error if error != entry.get("message") else "")
    message = " ".join(str(part) for part in parts if part)
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in entry.items()}
    fields = [f"{key}={value}" for key, value in values.items() if key not in ENVELOPE]
    line = " · ".join((f"{entry.get('level', '')} {message}".strip(), *fields))
    return "\n".join(part for part in (line, str(trace or "")) if part)


def _log_source(step: Step) -> tuple[str, str, str] | None:
    """Log group, stream and invocation of the step's call, "" for all; None if the called service writes no log.

    Lines of other invocations are left out."""
    call = step.call
    if call is None:
        return None
    if call.service == "lambda":
        name = str(call.parameters.get("FunctionName", "")).rpartition("function:")[2].partition(":")[0]
        # The error names the invocation that failed.
        return f"/aws/lambda/{name}", "", str((document_of(step.cause) or {}).get("requestId") or "")
    group, parameter = GROUPS.get(call.action.partition(".")[0], ("", ""))
    name = str(call.parameters.get(parameter, ""))
    return (group, f"{name}/", "") if call.service == "sagemaker" and group and name else None


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
