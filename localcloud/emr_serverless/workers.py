"""The workers of a Spark job: what its properties ask for, and how many the application has room for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

MOST_GB = {1: 8, 2: 16, 4: 30, 8: 60, 16: 120}
"""By the vCPUs that a worker may have, the most GB of its memory.

https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/app-behavior.html"""
OVERHEAD, LEAST_OVERHEAD_MB = 0.1, 384
"""What Spark adds to the memory of a worker: this share, and so much at least."""
ENVIRONMENT = {"driver": "spark.emr-serverless.driverEnv.", "executor": "spark.executorEnv."}
"""The beginnings of the properties that set the variables of a worker.

https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html"""


def properties(parameters: str) -> dict[str, str]:
    """The properties in `--conf a=b --conf c=d`. Raises ValueError for another option."""
    words = shlex.split(parameters)
    if set(words[::2]) - {"--conf"} or len(words) % 2 or not all("=" in word for word in words[1::2]):
        raise ValueError(f"the local cloud covers sparkSubmitParameters of `--conf NAME=VALUE`, got {parameters!r}")
    return {name: value for name, _, value in (word.partition("=") for word in words[1::2])}


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The driver and the executors of one job."""

    asked: Mapping[str, str]
    """The properties of the job."""
    capacity: Mapping[str, str]
    """The application's maximum capacity, such as `{"cpu": "16 vCPU", "memory": "64 GB"}`; empty if it has none."""

    def size(self, role: str) -> tuple[int, float]:
        """The vCPUs and MiB of the `driver` or of one `executor`. Raises ValueError for a size that no worker has."""
        cores, text = int(self.asked.get(f"spark.{role}.cores", 4)), self.asked.get(f"spark.{role}.memory", "14g")
        own = int(text[:-1]) * {"g": 1024, "m": 1}[text[-1].lower()]
        held = own + max(OVERHEAD * own, LEAST_OVERHEAD_MB)
        if held > 1024 * MOST_GB.get(cores, 0):
            raise ValueError(f"spark.{role}: no worker has {cores} vCPUs and {held / 1024:.1f} GB; the most: {MOST_GB}")
        return cores, held

    @property
    def executors(self) -> int:
        """The most executors that the job gets; 0 if the application has no room for one beside the driver."""
        fixed = self.asked.get("spark.dynamicAllocation.enabled", "true") == "false"
        name, default = ("executor.instances", 3) if fixed else ("dynamicAllocation.maxExecutors", 1 << 20)
        counts = [int(self.asked.get(f"spark.{name}", default))]
        for key, unit, one, each in zip(("cpu", "memory"), (1, 1024), *map(self.size, ENVIRONMENT), strict=True):
            if key in self.capacity:
                counts.append(int((int(re.sub(r"\D", "", self.capacity[key])) * unit - one) // each))
        return max(0, min(counts))

    def variables(self, role: str) -> dict[str, str]:
        """The variables that the properties set for the role."""
        prefix = ENVIRONMENT[role]
        return {name.removeprefix(prefix): value for name, value in self.asked.items() if name.startswith(prefix)}
