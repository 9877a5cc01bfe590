"""Read the log files of functions, jobs and endpoints into moto's groups and streams, before each answer.

The lines of an invocation have the time of its end, those of a job the time of its process's end; the workers of a
function share one stream. https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from infra.local.kernel.cloud import ACCOUNT, Cloud
from infra.local.kernel.patching import replace

JOBS = {"training": "TrainingJobs", "processing": "ProcessingJobs", "transform": "TransformJobs"}
_READS = ("get_log_events", "filter_log_events", "describe_log_streams", "describe_log_groups")


class LogStreams:
    """Takes lines from files into moto's streams; knows at what time a file was how long."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._folder = cloud.workspace / "logs"
        self._marks: dict[Path, list[tuple[int, float]]] = defaultdict(list)
        """Length in bytes and seconds of the cloud's clock, in order."""
        self._taken: dict[Path, int] = defaultdict(int)
        self._lock = threading.Lock()

    def mark(self, log: Path) -> None:
        """Note the time by which all that the file holds now was written."""
        size = log.stat().st_size if log.exists() else 0
        with self._lock:
            self._marks[log].append((size, self._cloud.clock.timestamp()))

    def take_in(self) -> None:
        """Put every complete line that is new into its stream."""
        with self._lock:
            for log, group, stream in self._files():
                if log.stat().st_size > self._taken[log]:
                    self._put(group, stream, list(self._new_lines(log)))

    def _files(self) -> Iterator[tuple[Path, str, str]]:
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
        marks, now = self._marks[log], self._cloud.clock.timestamp()
        with log.open("rb") as file:
            file.seek(self._taken[log])
            text = file.read()
        for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
            self._taken[log] += len(line)
            # Marks are (length of the file, time), both growing: the first one that is as long as the end of this line
            # says by when the line was there. With marks (100, 9:00) and (250, 9:05) a line that ends at 180 is of
            # 9:05.
            mark = bisect_left(marks, (self._taken[log], 0.0))
            at = marks[mark][1] if mark < len(marks) else now
            if message := line.decode(errors="replace").rstrip("\r\n"):
                yield {"timestamp": int(at * 1000), "message": message}

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        models: Any = import_module("moto.logs.models")
        backend = models.logs_backends[ACCOUNT][self._cloud.region]
        if group not in backend.groups:
            # As the services do for a group that nobody has made.
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        if events:
            backend.groups[group].streams[stream].put_log_events(events)


def log_streams(cloud: Cloud) -> LogStreams:
    return cloud.part(LogStreams, lambda: LogStreams(cloud))


def read_log_files(cloud: Cloud) -> None:
    from infra.local.awslambda.pools import Functions

    streams = log_streams(cloud)
    functions: Functions = cloud.parts[Functions]
    logs = cloud.workspace / "logs" / "functions"
    functions.after_invocation(lambda function, _: streams.mark(logs / f"{function.function_name}.log"))
    models: Any = import_module("moto.logs.models")
    replace(models.LogsBackend, **{name: _taking_in(streams, getattr(models.LogsBackend, name)) for name in _READS})
    _filter_by_prefix(streams)


def _taking_in(streams: LogStreams, read: Any) -> Any:
    def answer(self: Any, *given: Any, **named: Any) -> Any:
        streams.take_in()
        return read(self, *given, **named)

    return answer


def _filter_by_prefix(streams: LogStreams) -> None:
    responses: Any = import_module("moto.logs.responses")
    read = responses.LogsResponse.filter_log_events

    def answer(self: Any) -> Any:
        prefix, read_parameter = self._get_param("logStreamNamePrefix"), self._get_param
        streams.take_in()
        group = self.logs_backend.groups.get(self._get_param("logGroupName"))
        # moto filters by names only: the prefix becomes the list of streams that begin with it; with none, the prefix
        # itself, which names no stream, since an empty list would mean all.
        if prefix and group is not None:
            names = [name for name in group.streams if name.startswith(prefix)] or [prefix]
            self._get_param = lambda name, *default: (
                names if name == "logStreamNames" else read_parameter(name, *default)
            )
        return read(self)

    replace(responses.LogsResponse, filter_log_events=answer)
