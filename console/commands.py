"""A command line of ours as it can be typed: quoted, with the workload and the stage where they must be said."""

from __future__ import annotations

import os
import shlex

from millrace.names import WorkloadNames
from millrace.workload.load import workload_folders, workloads_folder


def command(names: WorkloadNames, *words: str) -> str:
    """`millrace WORDS` with the options that find this workload at this stage from the caller's shell.

    For example `millrace show f477bde4 --workload electricity`."""
    options = [*_workload(names.workload), *_stage(names.platform.stage)]
    return shlex.join(["millrace", *words, *options])


def _workload(workload: str) -> list[str]:
    """Nothing where it is in the environment or the only one."""
    if (chosen := os.environ.get("MILLRACE_WORKLOAD")) is not None:
        return [] if chosen == workload else ["--workload", workload]
    folders = [folder.name for folder in workload_folders(workloads_folder())]
    return [] if folders == [workload] else ["--workload", workload]


def _stage(stage: str) -> list[str]:
    return [] if stage == os.environ.get("MILLRACE_STAGE", "local") else ["--stage", stage]
