"""What a job may take: the memory of its instance as declared, and a share of this machine."""

from __future__ import annotations

import os
import re

from localcloud.kernel.memory import machine_mb

SHARE = 0.75
"""The share of this machine's memory that one job may hold, whatever its instance has."""
JOB_MB = 2048
"""What a job needs, roughly: no more jobs run at once than this machine has memory for. Others wait."""
_TYPE = re.compile(r"ml\.(?P<family>[a-z]+)\d+[a-z0-9-]*\.(?P<times>\d*)(?P<size>medium|large|xlarge)")
_UNITS = {"medium": 1, "large": 2, "xlarge": 4}
_GIB = {"c": 2, "r": 8, "x": 16, "p": 8}
"""GiB for each virtual processor of a family, the least that one of its types has; 4 of the others.

https://docs.aws.amazon.com/sagemaker/latest/dg/instance-types-az.html"""


def instance_mb(kind: str) -> float:
    """MiB of an instance: 8192 of `ml.m5.large`. That of a type without a size is without bound."""
    parts = _TYPE.fullmatch(kind)
    if parts is None:
        return float("inf")
    return 1024.0 * _GIB.get(parts["family"][0], 4) * _UNITS[parts["size"]] * int(parts["times"] or 1)


def most_mb() -> float:
    """MiB that one job may hold on this machine."""
    return SHARE * machine_mb()


def most_jobs() -> int:
    """How many jobs run at once on this machine."""
    return max(2, min(2 * (os.cpu_count() or 1), int(machine_mb() // JOB_MB)))
