"""Where a command works: an environment, and clients that reach it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from console.local_cloud.local_cloud import PLATFORM, Desk
from millrace.errors import PlaceError
from millrace.names import STAGES, Platform, WorkloadNames
from millrace.workload.load import workload_folders, workloads_folder

UP_FILE = "up.json"
"""What `millrace up` leaves in the build folder while the local cloud runs: `{"endpoint_url", "pid"}`."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One environment on this desk or on AWS."""

    platform: Platform
    client: Callable[[str], Any]
    """A boto3 client of a service, as an operator makes it."""

    def names(self, workload: str) -> WorkloadNames:
        """The names of a workload; an empty word means the only one. Raises PlaceError when there is no such folder."""
        workloads = workloads_folder()
        known = [folder.name for folder in workload_folders(workloads)]
        if not workload and len(known) == 1:
            return WorkloadNames(platform=self.platform, workload=known[0])
        if workload not in known:
            raise PlaceError(f"--workload: expected one of {known} (the folders of {workloads}/), got {workload!r}")
        return WorkloadNames(platform=self.platform, workload=workload)


def find_place(stage: str, build: Path) -> Place:
    """The environment of a stage.

    `local` is the cloud at AWS_ENDPOINT_URL, or else the one that `millrace up` keeps running; the other stages are in
    the account and region of the caller's credentials. Raises PlaceError when there is none."""
    if stage not in STAGES:
        raise PlaceError(f"--stage: expected one of {list(STAGES)}, got {stage!r}")
    if stage == "local":
        desk = Desk(endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or _kept(build))
        return Place(platform=PLATFORM, client=desk.client)
    session = boto3.Session()
    if session.region_name is None:
        raise PlaceError("expected a region in AWS_REGION or in the profile, got none")
    account = session.client("sts").get_caller_identity()["Account"]
    platform = Platform(stage=stage, account=account, region=session.region_name)
    return Place(platform=platform, client=session.client)


def _kept(build: Path) -> str:
    path = build / UP_FILE
    if not path.is_file():
        raise PlaceError(
            f"expected a running local cloud, got none ({path} is not there): start one with `millrace up`"
        )
    noted = json.loads(path.read_text())
    pid = noted.get("pid")
    if pid and not _is_there(pid):
        raise PlaceError(f"expected a running local cloud, but process {pid} of {path} has gone: `millrace up`")
    url: str = noted["endpoint_url"]
    return url


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
