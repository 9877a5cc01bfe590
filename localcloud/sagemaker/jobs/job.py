"""One running SageMaker job: its status, its events and the process of its container."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.processes import started_by_itself, watch
from localcloud.logs.log_streams import log_streams
from localcloud.sagemaker.api import Fields, in_milliseconds
from localcloud.sagemaker.containers import Image, has_mounts, without_network
from localcloud.sagemaker.jobs import instances
from localcloud.sagemaker.jobs.forked import forked

STOP_GRACE_S = 120.0
"""Seconds between SIGTERM and SIGKILL when a job is stopped."""
MOST = 8
"""The largest number of instances of a job: each is a process of this machine."""


class JobError(Exception):
    """The job has failed. The message becomes its FailureReason."""


@dataclass(kw_only=True)
class Job:
    """One job that is running; `fields` is what Describe answers."""

    cloud: Cloud
    kind: str
    """`Training`, `Processing` or `Transform`."""
    fields: Fields
    root: Path
    """The folder that stands for `/opt/ml`."""
    role_arn: str
    limit_s: float
    """Real seconds that the container may run; infinite for a transform job."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the job shall end: somebody stops it, its time is over, or the cloud stops."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when the job has its last status."""
    exceeded: str = ""
    """The secondary status of a job whose time was over."""
    memory_mb: float = float("inf")
    """What the processes of an instance may hold, in MiB."""
    volume_bytes: float = float("inf")
    """The size of the volume of each instance."""

    @property
    def name(self) -> str:
        name: str = self.fields[f"{self.kind}JobName"]
        return name

    @property
    def log(self) -> Path:
        """The file with the output of the container."""
        return self.cloud.workspace / "logs" / "jobs" / self.kind.lower() / f"{self.name}.log"

    def roots(self, count: int) -> list[Path]:
        """The folder that stands for `/opt/ml` of each instance: the job's own, then `<name>.2` and so on."""
        others = [self.root.with_name(f"{self.name}.{number}") for number in range(2, count + 1)]
        for root in others:
            shutil.rmtree(root, ignore_errors=True)
        return [self.root, *others]

    def check_volume(self, root: Path) -> None:
        """Raise JobError if the inputs below `root` do not fit the volume.

        https://github.com/aws/sagemaker-python-sdk/issues/128"""
        used = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        if used > self.volume_bytes:
            raise JobError("ClientError: Data download failed:Insufficient disk space")

    def set(self, status: str, **fields: Any) -> None:
        """Change the job's status and fields, and put the event of the change on the bus."""
        now = self.cloud.clock.now()
        self.fields.update({**fields, "LastModifiedTime": now})
        if self.kind == "Training":
            _note_transition(self.fields, now)
        # The status is written last: who sees the end of the job reads the other fields at once.
        self.fields[f"{self.kind}JobStatus"] = status
        self.cloud.emit(
            "aws.sagemaker",
            f"SageMaker {self.kind} Job State Change",
            in_milliseconds(self.fields),
            resources=[self.fields[f"{self.kind}JobArn"]],
        )

    def note(self, secondary: str) -> None:
        """Enter a secondary status of a training job (`Downloading`). No event is sent: nothing listens for it."""
        now = self.cloud.clock.now()
        self.fields |= {"SecondaryStatus": secondary, "LastModifiedTime": now}
        _note_transition(self.fields, now)

    def execute(
        self, image: Image, arguments: Sequence[str], given: Mapping[str, str], *, roots: Sequence[Path] = ()
    ) -> int:
        """Run the container and return its exit code: 128 + the signal if a signal ended it.

        If the job is stopped or its time is over, the container gets TERM, then KILL. Several `roots` are several
        instances, each with its own folder for `/opt/ml`."""
        environment = image.variables(self.root, given)
        fork = forked(self.cloud, image, arguments, environment) if len(roots) < 2 else None
        if len(roots) > 1:
            arguments = self._instances(image, arguments, given, roots)
        elif not fork:
            arguments = image.mounted(self.root, arguments)
        if not fork and not has_mounts():
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(f"There is no /opt/ml: this machine lets no process mount it; it lies at {self.root}\n")
        process = self.cloud.spawn(
            arguments if fork else [*without_network(), *arguments],
            environment=environment,
            cwd=image.cwd,
            log=self.log,
            start=fork or started_by_itself,
        )
        # Real seconds, since the process computes in real time, whatever the cloud's clock says. A job whose time is
        # over counts as stopped: SageMaker, too, gives a job that exceeds MaxRuntimeInSeconds the status Stopped, and
        # keeps what it has written.
        held = [(process, self.memory_mb * max(1, len(roots)))]
        why = watch(held, self.stop, self.limit_s, STOP_GRACE_S)
        if why == "time":
            self.exceeded = "MaxRuntimeExceeded"
            self.stop.set()
        # SageMaker's reason has only 137, so the log says more.
        if why == "memory":
            with self.log.open("a") as log:
                log.write(f"Killed: the container held more than the {self.memory_mb:.0f} MiB of its instance\n")
        log_streams(self.cloud).mark(self.log)
        # Popen has -9 for a process that SIGKILL ended; containers report 137.
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def _instances(
        self, image: Image, arguments: Sequence[str], given: Mapping[str, str], roots: Sequence[Path]
    ) -> list[str]:
        """The command that starts one container for each root (see `instances.py`)."""
        file = self.root.with_name(f"{self.name}.json")
        containers = [
            {
                "arguments": image.mounted(root, arguments),
                "environment": image.variables(root, given),
                "cwd": str(image.cwd),
            }
            for root in roots
        ]
        file.write_text(json.dumps(containers))
        return [sys.executable, instances.__file__, str(file)]


_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
}


def _note_transition(fields: Fields, now: datetime) -> None:
    """Enter the secondary status in SecondaryStatusTransitions, which also says when the one before ended."""
    transitions = fields.setdefault("SecondaryStatusTransitions", [])
    secondary = fields["SecondaryStatus"]
    if transitions and transitions[-1]["Status"] == secondary:
        return
    if transitions:
        transitions[-1]["EndTime"] = now
    message = _MESSAGES.get(secondary, secondary)
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
