"""A command line of `millrace` as a person can type it: quoted, with workload and stage where needed."""

from __future__ import annotations

import os
import shlex

from millrace.names import WorkloadNames
from millrace.workload.load import workload_folders, workloads_folder


def command(names: WorkloadNames, *words: str) -> str:
    """`millrace WORDS` with the options that select this workload and this stage in the caller's shell.

    For example `millrace show f477bde4 --workload electricity`."""
    options = [*_workload(names.workload), *_stage(names.platform.stage)]
    return shlex.join(["millrace", *words, *options])


def _workload(workload: str) -> list[str]:
    """The option for the workload; empty if the environment names it, or if it is the only one."""
    if (chosen := os.environ.get("MILLRACE_WORKLOAD")) is not None:
        return [] if chosen == workload else ["--workload", workload]
    folders = [folder.name for folder in workload_folders(workloads_folder())]
    return [] if folders == [workload] else ["--workload", workload]


def _stage(stage: str) -> list[str]:
    """The option for the stage; empty if it is the shell's stage, or `local` where the shell has none."""
    return [] if stage == os.environ.get("MILLRACE_STAGE", "local") else ["--stage", stage]
