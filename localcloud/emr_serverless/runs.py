"""One run of a Spark job: two processes with the image's program, the role's keys and the memory of its workers.

The driver is `python <entry point> <arguments>`. A Sail server stands for all executors: it speaks Spark Connect, and
runs the Python functions of the job in its own process. Each sees the variables that the job's properties set."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.emr_serverless.workers import Workers
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.memory import exceed, members
from localcloud.kernel.processes import Process, signal_group
from localcloud.sagemaker.containers import Image, images
from localcloud.sagemaker.endpoints.serving import free_port
from localcloud.sagemaker.jobs.jobs import jobs

SERVICE = "emr-serverless.amazonaws.com"
OVER = ("SUCCESS", "FAILED", "CANCELLED")
"""The states in which a run has ended."""
DISK_GB, BILLED_S = 20, 60.0
"""The disk of a worker that asks for none, and the least seconds that it is billed for."""
_POLL_S, _LOOK_S = 0.02, 0.2
"""Seconds between two looks for the end of a process, and at its memory."""


class RunError(Exception):
    """The run has failed. The message becomes its stateDetails."""


@dataclass(kw_only=True)
class Run:
    """One run; `fields` is what GetJobRun answers."""

    cloud: Cloud
    fields: dict[str, Any]
    image_uri: str
    workers: Workers
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the run shall end: somebody cancels it, its time is over, or the cloud stops."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when the run has its last state."""

    def log(self, role: str) -> Path:
        """The file with the output of the `driver`, or of the `executor`."""
        return self.cloud.workspace / "logs" / "spark" / f"{self.fields['jobRunId']}-{role}.log"

    def set(self, state: str, details: str = "") -> None:
        """Change the state, and put the event of the change on the bus."""
        told = {key: self.fields[key] for key in ("applicationId", "jobRunId", "createdBy", "releaseLabel")}
        told |= {"previousState": self.fields["state"], "state": state}
        self.fields |= {"updatedAt": self.cloud.clock.now(), "stateDetails": details, "state": state}
        self.cloud.emit("aws.emr-serverless", "EMR Serverless Job Run State Change", told)

    def live(self) -> None:
        """Live through the whole run, on its own thread. Whatever happens, it ends with a last state."""
        slots, state, details = jobs(self.cloud).slots, "SUCCESS", ""
        try:
            while not self.stop.is_set():
                if slots.acquire(timeout=_POLL_S):
                    with ExitStack() as ends:
                        ends.callback(slots.release)
                        self._execute(ends)
                    break
        except RunError as error:
            state, details = "FAILED", str(error)[:1024]
        except Exception as error:
            # An error of the local cloud itself must end the run too. Else the state machine would wait for ever.
            state, details = "FAILED", f"InternalServerError: {type(error).__name__}: {error}"
        if not self.cloud.stopping.is_set():
            self.set(*(("CANCELLED", self.fields["stateDetails"]) if self.stop.is_set() else (state, details)))
            self.finished.set()

    def _execute(self, ends: ExitStack) -> None:
        """Run both processes until the driver has ended. Raises RunError if the job fails."""
        self.set("SCHEDULED")
        submitted, image = self.fields["jobDriver"]["sparkSubmit"], images(self.cloud).find(self.image_uri)
        entry = image.root / submitted["entryPoint"].removeprefix("local:///")
        if not entry.is_file():
            raise RunError(f"Job failed. ExitCode: 2. can't open file '{submitted['entryPoint']}'")
        if not self.workers.executors:
            raise RunError("Worker could not be allocated as the application has exceeded maximumCapacity settings")
        port, began = free_port(), time.monotonic()
        ends.callback(lambda: self._bill(time.monotonic() - began))
        server = self._start(ends, "executor", image, ["-m", "pysail", "spark", "server", "--port", str(port)])
        while not _answers(port) and server.poll() is None and not self.stop.wait(_POLL_S):
            pass
        self.set("RUNNING")
        words = [str(entry), *submitted.get("entryPointArguments", [])]
        driver = self._start(ends, "driver", image, words, SPARK_REMOTE=f"sc://localhost:{port}")
        self._wait(driver, server)
        if driver.returncode and not self.stop.is_set():
            last = " ".join(self.log("driver").read_text(errors="replace").split("\n")[-4:]).strip()
            why = "Job failed, please check complete logs in configured logging destination"
            raise RunError(f"{why}. ExitCode: {driver.returncode}. Last few exceptions: {last}")

    def _start(self, ends: ExitStack, role: str, image: Image, words: Sequence[str], **more: str) -> Process:
        """A Python process of the image with the role's keys, which is killed at the end of `ends`."""
        root = self.cloud.workspace / "spark" / self.fields["jobRunId"] / role
        keys = self.cloud.role_environment(self.fields["executionRole"], self.fields["jobRunId"], service=SERVICE)
        own = {**image.environment, **self.workers.variables(role)}
        paths = [image.root / one.lstrip("/") for one in own.get("PYTHONPATH", "").split(os.pathsep) if one]
        own["PYTHONPATH"] = os.pathsep.join(map(str, (image.root / ".isolate", *paths)))
        environment = image.variables(root, {**own, **keys, **more})
        process = self.cloud.spawn([sys.executable, *words], environment=environment, cwd=image.cwd, log=self.log(role))
        ends.callback(process.wait)
        ends.callback(signal_group, process, signal.SIGKILL)
        return process

    def _wait(self, driver: Process, server: Process) -> None:
        """Wait for the driver's end. Raises RunError if one holds more than its workers have, or the server ends."""
        minutes, look = self.fields["executionTimeoutMinutes"], 0.0
        over = time.monotonic() + 60 * (minutes or float("inf"))
        most = {"driver": self.workers.size("driver")[1]}
        most["executor"] = self.workers.executors * self.workers.size("executor")[1]
        while driver.poll() is None and not self.stop.wait(_POLL_S):
            if time.monotonic() > over:
                self.fields["stateDetails"] = f"The job run exceeded its timeout of {minutes} minutes"
                self.stop.set()
            if server.poll() is not None:
                raise RunError(f"Job failed. The executors ended with {server.returncode}")
            if time.monotonic() > look:
                look = time.monotonic() + _LOOK_S
                for role, process in (("driver", driver), ("executor", server)):
                    if exceed(members(process.pid), min(jobs(self.cloud).most_mb, most[role])):
                        raise RunError(f"Job failed. ExitCode: 137. The {role} held more than {most[role]:.0f} MiB")

    def _bill(self, seconds: float) -> None:
        """What the workers would cost on AWS: as many as were declared, for as long as the processes ran."""
        hours, count = max(BILLED_S, seconds) / 3600, self.workers.executors
        cores, mb = (
            one + count * each for one, each in zip(*map(self.workers.size, ("driver", "executor")), strict=True)
        )
        billed = {"vCPUHour": cores, "memoryGBHour": mb / 1024, "storageGBHour": (1 + count) * DISK_GB}
        self.fields["totalExecutionDurationSeconds"] = round(seconds)
        self.fields["billedResourceUtilization"] = {name: round(each * hours, 3) for name, each in billed.items()}


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
