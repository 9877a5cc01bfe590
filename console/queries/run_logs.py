"""The log lines of one step: of its function's invocation, or of its SageMaker job."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from millrace.console.queries.history import Step
from millrace.messages.training_job import VALIDATION_LOSS, pattern
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload, workloads_folder

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


@dataclass(frozen=True, kw_only=True)
class _LogSource:
    group: str
    stream: str = ""
    request: str = ""
    """The id of the invocation; lines of other invocations are left out."""


def read_log(logs: Any, step: Step, *, most: int = 50) -> Log:
    """The last lines that the step's function or job wrote. `logs` is boto3's CloudWatch Logs client."""
    source = _log_source(step)
    if source is None or step.call is None:
        return Log(group="", stream="", lines=[])
    query: dict[str, Any] = {"logGroupName": source.group, "startTime": _milliseconds(step.call.started - BEFORE)}
    if step.ended is not None:
        query["endTime"] = _milliseconds(step.ended + AFTER)
    if source.stream:
        query["logStreamNamePrefix"] = source.stream
    try:
        pages = logs.get_paginator("filter_log_events").paginate(**query)
        events = list(islice((event for page in pages for event in page["events"]), READ))
    except logs.exceptions.ResourceNotFoundException:
        events = []
    # A line that names no invocation is kept: it may belong to this one.
    found = [event for event in events if not source.request or _request_of(event["message"]) in ("", source.request)]
    return Log(group=source.group, stream=source.stream, lines=[_line(event) for event in found[-most:]])


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
    try:
        entry = json.loads(text)
    except ValueError:
        return text
    if not isinstance(entry, dict) or not {"message", "errorMessage"} & set(entry):
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


def _log_source(step: Step) -> _LogSource | None:
    """Where the log of the step's call lies; None if the called service writes none."""
    call = step.call
    if call is None:
        return None
    if call.service == "lambda":
        name = str(call.parameters.get("FunctionName", "")).rpartition("function:")[2].partition(":")[0]
        return _LogSource(group=f"/aws/lambda/{name}", request=_request_that_failed(step.cause))
    group, parameter = GROUPS.get(call.action.partition(".")[0], ("", ""))
    name = str(call.parameters.get(parameter, ""))
    return _LogSource(group=group, stream=f"{name}/") if call.service == "sagemaker" and group and name else None


def _request_that_failed(cause: str) -> str:
    """The id of the invocation that failed, as Lambda's error gives it; empty if it does not."""
    try:
        message = json.loads(cause)
    except ValueError:
        return ""
    return str(message.get("requestId") or "") if isinstance(message, Mapping) else ""


def _request_of(line: str) -> str:
    """The id of the invocation that a line names; empty if it names none."""
    found = REQUEST.search(line)
    return found[1] if found else ""


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
