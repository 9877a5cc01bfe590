"""The stacks of the workloads that are deployed in a stage, as CloudFormation lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from millrace.names import ROOMS, Platform
from millrace.workload.load import workload_folders


def deployed_workloads(cloudformation: Any, platform: Platform) -> list[str]:
    """The workloads of the stage that have a stack, sorted by name, also those without a folder."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    stacks = [stack["StackName"] for page in pages for stack in page["Stacks"]]
    # A stack is named `millrace-<stage>-<workload>-<room>`. The stage's own, such as `millrace-dev-audit`, lack a part.
    ours = [name.removeprefix(f"{platform.prefix}-") for name in stacks if name.startswith(f"{platform.prefix}-")]
    parts = [name.rpartition("-") for name in ours]
    # In names of AWS, an underscore of a workload is a dash.
    return sorted({slug.replace("-", "_") for slug, _, room in parts if slug and room in ROOMS})


def warnings_without_folder(cloudformation: Any, platform: Platform, root: Path) -> list[str]:
    """A sentence for each deployed workload that has no folder in `root`, with the command that removes it."""
    known = {folder.name for folder in workload_folders(root)}
    option = "" if platform.stage == "local" else f" --stage {platform.stage}"
    return [
        f"{workload} is deployed and has no folder in {root}/: no deployment changes or removes it, and an endpoint of "
        f"it goes on; `millrace down --workload {workload}{option}` removes it"
        for workload in deployed_workloads(cloudformation, platform)
        if workload not in known
    ]
