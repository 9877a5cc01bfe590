"""What the repository's `cdk.json` says to the app, above all about its stages."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millrace.names import WorkloadNames
from millrace.workload.load import workload_folders, workloads_folder

ACT_AS = "MILLRACE_AS"
"""The variable that names the role as which a command acts; empty for the caller's own identity."""


def declared_context() -> Mapping[str, Any]:
    """The `context` of `cdk.json`: of the file beside the folder of workloads, else of the working folder."""
    beside, own = workloads_folder().parent / "cdk.json", Path("cdk.json")
    path = beside if beside.is_file() else own
    return json.loads(path.read_text()).get("context", {}) if path.is_file() else {}


def declared_stages() -> Mapping[str, Any]:
    """The options of each stage that the context declares below `stages`.

    Entries that are not options are left out here; synthesis refuses them."""
    stages = declared_context().get("stages")
    found = stages.items() if isinstance(stages, Mapping) else ()
    return {stage: options for stage, options in found if isinstance(options, Mapping)}


def declared_options(stage: str) -> Mapping[str, Any]:
    """The declared options of the stage; empty without any."""
    return declared_stages().get(stage) or {}


def is_production(stage: str) -> bool:
    """Whether the stage is `prod` or set up as `prod`."""
    return (declared_options(stage).get("like") or stage) == "prod"


def command(names: WorkloadNames, *words: str) -> str:
    """`millrace WORDS` with the options that select this workload and this stage in the caller's shell.

    For example `millrace show f477bde4 --workload electricity`."""
    stage, shell = names.platform.stage, os.environ.get("MILLRACE_STAGE", "local")
    options = [*_workload(names.workload), *([] if stage == shell else ["--stage", stage])]
    return shlex.join(["millrace", *words, *options])


def _workload(workload: str) -> list[str]:
    """The option for the workload; empty if the environment names it, or if it is the only one."""
    if (chosen := os.environ.get("MILLRACE_WORKLOAD")) is not None:
        return [] if chosen == workload else ["--workload", workload]
    folders = [folder.name for folder in workload_folders(workloads_folder())]
    return [] if folders == [workload] else ["--workload", workload]
