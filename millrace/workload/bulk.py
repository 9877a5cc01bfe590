"""Which drops a job of Spark judges in place of a function, how long that takes and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millrace.contract.schema import Contract
from millrace.errors import RunError
from millrace.files.origin import image_columns
from millrace.settings.drop import LARGEST_MB
from millrace.workload.declaration import Workload
from millrace.workload.prices import RATES, REGION_FACTOR

USUAL_VCPUS, DRIVER_VCPUS = 16, 4
"""Of a stage that names none; and of the driver among them, as of each executor."""
GB_OF_VCPU, DISK_GB_OF_VCPU = 4, 50
"""Memory and disk of a worker."""
START_S, DRIVER_S_PER_GB, VCPU_S_PER_GB = 180, 15, 300
"""Until the first task begins; of the driver alone, which reads a text once before; and of the tasks, by a GB of the
drop. Estimates: on a laptop the tasks take 20 to 60 s of a CPU for a GB of CSV (`benchmarks.bulk`), and 140 s with
quotes in every row, which are read row by row; Spark's own way to Python, S3 and slower cores are given the rest."""

BILLED = {"vCPUHour": "spark vCPU hour", "memoryGBHour": "spark GB hour", "storageGBHour": "spark disk GB hour"}
"""The rate of each member of `billedResourceUtilization`, which has no disk below the 20 GB that a worker has free.

https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/considerations.html"""


def needs_functions(workload: Workload, contract: Contract) -> str:
    """Why functions alone judge the drops of the workload, whatever their size; empty if a job may."""
    if image_columns(contract.rows):
        return "functions alone fetch the images of a drop"
    return "functions alone write what is known of its keys, for `known_keys`" if workload.known_keys else ""


def told_of_job(
    size: int, workload: Workload, contract: Contract, *, vcpus: int = USUAL_VCPUS, above_mb: int = LARGEST_MB
) -> Iterator[str]:
    """What a person is told of the job that judges a drop of so many bytes of `training`; nothing if none does.

    `vcpus` and `above_mb` are the options of the stage. Raises RunError for a file that no job judges and that is too
    large for a function."""
    if size <= above_mb * 2**20:
        return
    because = needs_functions(workload, contract)
    if because and size > LARGEST_MB * 2**20:
        raise RunError(f"FILE: expected {LARGEST_MB} MiB at most, got {size:,} bytes; {because}")
    if not because:
        minutes = job_minutes(size, vcpus)
        yield f"a job of Spark judges it: about {minutes:.0f} minutes, {job_usd(size):.2f} USD at most"


def job_minutes(size: int, vcpus: int) -> float:
    """About how long a job takes for a drop of so many bytes."""
    return (START_S + size / 1e9 * (DRIVER_S_PER_GB + VCPU_S_PER_GB / (vcpus - DRIVER_VCPUS))) / 60


def job_usd(size: int) -> float:
    """The most that a job costs for a drop of so many bytes: with one executor the driver waits the longest."""
    used = {"vCPUHour": 1, "memoryGBHour": GB_OF_VCPU, "storageGBHour": DISK_GB_OF_VCPU}
    return REGION_FACTOR * job_vcpu_hours(size) * billed_usd(used)


def job_vcpu_hours(size: int) -> float:
    """The most hours of a vCPU that a job takes for a drop of so many bytes."""
    return (DRIVER_VCPUS * (START_S + size / 1e9 * DRIVER_S_PER_GB) + 2 * size / 1e9 * VCPU_S_PER_GB) / 3600


def billed_usd(used: Mapping[str, float]) -> float:
    """The list price in us-east-1 of the hours that a job was billed for, by the members of BILLED."""
    return sum(hours * RATES[BILLED[member]].usd for member, hours in used.items())
