"""One run of a Spark job: two processes with the image's program, the role's keys and the memory of its workers.

The driver is `python <entry point> <arguments>`. A Sail server stands for all executors: it speaks Spark Connect, and
runs the Python functions of the job in its own process. Each sees the variables that the job's properties set.
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/app-behavior.html
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from localcloud.kernel.processes import Process, end_group, watch
from localcloud.sagemaker.containers import Image, images
from localcloud.sagemaker.endpoints.serving import free_port
from localcloud.sagemaker.jobs.job import Job, JobError

SERVICE = "emr-serverless.amazonaws.com"
MOST_GB = {1: 8, 2: 16, 4: 30, 8: 60, 16: 120}
"""By the vCPUs that a worker may have, the most GB of its memory."""
OVERHEAD, LEAST_OVERHEAD_MB = 0.1, 384
"""What Spark adds to the memory of a worker: this share, and so much at least."""
# Linux kills it when the thread of the run ends, however that comes (PR_SET_PDEATHSIG): nothing else ends a server.
SERVER = "import ctypes, pysail.cli, sys; sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, 9); pysail.cli.main()"
LEAST_BILLED_S, FREE_DISK_GB = 60, 20
"""What a worker is billed for at least, and what is not billed of its disk."""
ENVIRONMENT = {"driver": "spark.emr-serverless.driverEnv.", "executor": "spark.executorEnv."}
"""The beginnings of the properties that set the variables of a worker."""


def properties(parameters: str) -> dict[str, str]:
    """The properties in `--conf a=b --conf c=d`. Raises ValueError for another option."""
    words = shlex.split(parameters)
    if set(words[::2]) - {"--conf"} or len(words) % 2 or not all("=" in word for word in words[1::2]):
        raise ValueError(f"the local cloud covers sparkSubmitParameters of `--conf NAME=VALUE`, got {parameters!r}")
    return {name: value for name, _, value in (word.partition("=") for word in words[1::2])}


def memory_mb(asked: Mapping[str, str], capacity: Mapping[str, str]) -> tuple[float, float]:
    """MiB of the driver, and of all executors: as many as the properties ask for and the application has room for.

    `capacity` is the application's maximum, such as `{"cpu": "16 vCPU", "memory": "64 GB"}`. The executors have 0 if
    there is no room for one beside the driver. Raises ValueError for a size that no worker has."""
    sizes = {role: size(asked, role) for role in ENVIRONMENT}
    for role, (cores, held) in sizes.items():
        if held > 1024 * MOST_GB.get(cores, 0):
            raise ValueError(f"spark.{role}: no worker has {cores} vCPUs and {held / 1024:.1f} GB; the most: {MOST_GB}")
    counts = [int(asked.get("spark.dynamicAllocation.maxExecutors", 1 << 20))]
    for key, unit, one, each in zip(("cpu", "memory"), (1, 1024), *sizes.values(), strict=True):
        if key in capacity:
            counts.append(int((int(re.sub(r"\D", "", capacity[key])) * unit - one) // each))
    return sizes["driver"][1], max(0, min(counts)) * sizes["executor"][1]


def size(asked: Mapping[str, str], role: str) -> tuple[int, float]:
    """The vCPUs and the MiB of a worker."""
    text = asked.get(f"spark.{role}.memory", "14g")
    own = int(text[:-1]) * {"g": 1024, "m": 1}[text[-1].lower()]
    return int(asked.get(f"spark.{role}.cores", 4)), own + max(OVERHEAD * own, LEAST_OVERHEAD_MB)


def billed(asked: Mapping[str, str], seconds: float) -> dict[str, float]:
    """What AWS would bill for both workers, the driver and one executor, that ran for so many seconds."""
    hours, sizes = max(LEAST_BILLED_S, int(seconds) + 1) / 3600, [size(asked, role) for role in ENVIRONMENT]
    disks = [int(asked.get(f"spark.emr-serverless.{role}.disk", "20G")[:-1]) - FREE_DISK_GB for role in ENVIRONMENT]
    cores, memory_mb = map(sum, zip(*sizes, strict=True))
    return {"vCPUHour": cores * hours, "memoryGBHour": memory_mb / 1024 * hours, "storageGBHour": sum(disks) * hours}


STATES = {"InProgress": "SUBMITTED", "Stopping": "CANCELLING", "Completed": "SUCCESS", "Stopped": "CANCELLED"}
"""The states of a run by those of a job of SageMaker, where it is another word."""


@dataclass(kw_only=True)
class Run(Job):
    """One run; `fields` is what GetJobRun answers.

    `asked` are the properties of the job, `executors_mb` MiB that all executors may hold."""

    image_uri: str
    asked: Mapping[str, str]
    executors_mb: float

    def set(self, status: str, **fields: Any) -> None:
        """Change the state. No event is sent: nothing listens for it."""
        details = fields.get("FailureReason") or self.exceeded
        state = STATES.get(status, status.upper())
        self.fields |= {"updatedAt": self.cloud.clock.now(), "stateDetails": details, "state": state}

    def start(self, ends: ExitStack, role: str, image: Image, words: Sequence[str], **more: str) -> Process:
        """A Python process of the image with the role's keys, which is killed at the end of `ends`."""
        keys = self.cloud.role_environment(self.role_arn, self.name, service=SERVICE)
        prefix = ENVIRONMENT[role]
        own = {name.removeprefix(prefix): value for name, value in self.asked.items() if name.startswith(prefix)}
        paths = [image.root / one.lstrip("/") for one in own.get("PYTHONPATH", "").split(os.pathsep) if one]
        own["PYTHONPATH"] = os.pathsep.join(map(str, (image.root / ".isolate", *paths)))
        environment = image.variables(self.root / role, {**own, **keys, **more})
        log = self.log.with_name(f"{self.name}-{role}.log")
        process = self.cloud.spawn([sys.executable, *words], environment=environment, cwd=image.cwd, log=log)
        ends.callback(end_group, process, 0.0)
        return process

    def measure(self, began: float) -> None:
        """Note what the workers took, by the seconds that they ran."""
        self.fields["billedResourceUtilization"] = billed(self.asked, time.monotonic() - began)

    def run(self) -> None:
        """Run both processes until the driver has ended. Raises JobError if the job fails."""
        if not self.executors_mb:
            raise JobError("Worker could not be allocated as the application has exceeded maximumCapacity settings")
        submitted = self.fields["jobDriver"]["sparkSubmit"]
        image, port = images(self.cloud).find(self.image_uri), free_port()
        entry = image.root / submitted["entryPoint"].removeprefix("local:///")
        self.set("Running")
        with ExitStack() as ends:
            ends.callback(self.measure, time.monotonic())
            server = self.start(ends, "executor", image, ["-c", SERVER, "spark", "server", "--port", str(port)])
            # Its client tries again until the server answers.
            words = [str(entry), *submitted.get("entryPointArguments", [])]
            driver = self.start(ends, "driver", image, words, SPARK_REMOTE=f"sc://localhost:{port}")
            why = watch([(driver, self.memory_mb), (server, self.executors_mb)], self.stop, self.limit_s, grace_s=0.0)
            if not why and driver.poll() is None:
                raise JobError(f"Job failed. The executors ended with {server.returncode}")
        if why == "time":
            self.exceeded = f"The job run exceeded its timeout of {self.limit_s / 60:.0f} minutes"
            self.stop.set()
        if why == "memory":
            raise JobError("Job failed. ExitCode: 137. The driver or the executors held more memory than they have")
        if driver.returncode:
            text = self.log.with_name(f"{self.name}-driver.log").read_text(errors="replace")
            last = " ".join(text.split("\n")[-4:]).strip()
            said = "Job failed, please check complete logs in configured logging destination"
            raise JobError(f"{said}. ExitCode: {driver.returncode}. Last few exceptions: {last}")
