"""Reads the log files of functions, jobs and endpoints into moto's groups and streams, before each answer.

    logs/functions/intake.log             /aws/lambda/intake                  [$LATEST]local
    logs/jobs/training/nightly.log        /aws/sagemaker/TrainingJobs         nightly/algo-1
    logs/endpoints/xray/main-0.log        /aws/sagemaker/Endpoints/xray       main/i-0

The lines of an invocation have the time at which it ended, those of a job the time at which its process ended. The
workers of a function share one stream. https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace

JOBS = {"training": "TrainingJobs", "processing": "ProcessingJobs", "transform": "TransformJobs"}
# The operations of moto's backend before which the files are read. A deletion is among them: lines that were written
# before it and read after it would make the group again.
_READS = ("get_log_events", "filter_log_events", "describe_log_streams", "describe_log_groups", "delete_log_group")


class LogStreams:
    """Takes lines from files into moto's streams. It knows how long a file was at which times."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._folder = cloud.workspace / "logs"
        self._marks: dict[Path, list[tuple[int, float]]] = defaultdict(list)
        """For each file (its length in bytes, seconds of the cloud's clock), in order."""
        self._taken: dict[Path, int] = defaultdict(int)
        """How many bytes of each file are in its stream."""
        self._lock = threading.Lock()

    def mark(self, log: Path) -> None:
        """Note that all lines which the file has now were written by now."""
        size = log.stat().st_size if log.exists() else 0
        with self._lock:
            self._marks[log].append((size, self._cloud.clock.timestamp()))

    def take_in(self) -> None:
        """Put every new complete line of all files into its stream."""
        with self._lock:
            for log, group, stream in self._files():
                if log.stat().st_size > self._taken[log]:
                    self._put(group, stream, list(self._new_lines(log)))

    def _files(self) -> Iterator[tuple[Path, str, str]]:
        """Yields each log file with its group and its stream."""
        for log in sorted(self._folder.glob("functions/*.log")):
            yield log, f"/aws/lambda/{log.stem}", "[$LATEST]local"
        for kind, group in JOBS.items():
            for log in sorted(self._folder.glob(f"jobs/{kind}/*.log")):
                yield log, f"/aws/sagemaker/{group}", f"{log.stem}/algo-1"
        for log in sorted(self._folder.glob("mail/*.log")):
            yield log, "/local/mail", log.stem
        for log in sorted(self._folder.glob("endpoints/*/*.log")):
            variant, _, instance = log.stem.rpartition("-")
            yield log, f"/aws/sagemaker/Endpoints/{log.parent.name}", f"{variant}/i-{instance}"

    def _new_lines(self, log: Path) -> Iterator[dict[str, Any]]:
        """Yields the new complete lines as log events, and counts them as taken. Empty lines are left out."""
        marks, now = self._marks[log], self._cloud.clock.timestamp()
        with log.open("rb") as file:
            file.seek(self._taken[log])
            text = file.read()
        for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
            self._taken[log] += len(line)
            # Length and time grow from mark to mark. The first mark whose length reaches the end of this line says by
            # when the line was there: with the marks (100, 9:00) and (250, 9:05) a line that ends at byte 180 has the
            # time 9:05. A line behind the last mark has the present time.
            mark = bisect_left(marks, (self._taken[log], 0.0))
            at = marks[mark][1] if mark < len(marks) else now
            if message := line.decode(errors="replace").rstrip("\r\n"):
                yield {"timestamp": int(at * 1000), "message": message}

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        backend = moto_backend("logs", self._cloud.region)
        if group not in backend.groups:
            # The services make a group that does not exist yet.
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        if events:
            backend.groups[group].streams[stream].put_log_events(events)


def log_streams(cloud: Cloud) -> LogStreams:
    """The one LogStreams of the cloud, made at the first call."""
    return cloud.part(LogStreams, lambda: LogStreams(cloud))


def read_log_files(cloud: Cloud) -> None:
    """Answer operations on logs from the log files, too."""
    from localcloud.awslambda.pools import Functions

    streams = log_streams(cloud)
    functions: Functions = cloud.parts[Functions]
    logs = cloud.workspace / "logs" / "functions"
    functions.after_invocation(lambda function, _: streams.mark(logs / f"{function.function_name}.log"))
    models: Any = import_module("moto.logs.models")
    replace(models.LogsBackend, **{name: _taking_in(streams, getattr(models.LogsBackend, name)) for name in _READS})
    _filter_by_prefix(streams)


def _taking_in(streams: LogStreams, read: Any) -> Any:
    """The operation `read` of moto's backend, which reads the files before it answers."""

    def answer(self: Any, *given: Any, **named: Any) -> Any:
        streams.take_in()
        return read(self, *given, **named)

    return answer


def _filter_by_prefix(streams: LogStreams) -> None:
    """Let FilterLogEvents know logStreamNamePrefix. May go when moto knows it."""
    responses: Any = import_module("moto.logs.responses")
    read = responses.LogsResponse.filter_log_events

    def answer(self: Any) -> Any:
        prefix, read_parameter = self._get_param("logStreamNamePrefix"), self._get_param
        streams.take_in()
        group = self.logs_backend.groups.get(self._get_param("logGroupName"))
        # moto filters by names only. So the prefix becomes the list of the streams that begin with it, which moto's
        # handler finds where it looks for names. If no stream does, the list is the prefix itself, which names none: an
        # empty list would mean all streams.
        if prefix and group is not None:
            names = [name for name in group.streams if name.startswith(prefix)] or [prefix]
            self._get_param = lambda name, *default: (
                names if name == "logStreamNames" else read_parameter(name, *default)
            )
        return read(self)

    replace(responses.LogsResponse, filter_log_events=answer)
