"""The local cloud in the background: start it once, deploy into it whenever templates change, stop it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from millrace.console.alone import alone_in
from millrace.console.local_cloud.instance import FOLDER, UP_FILE, Instance, command_of, find_instance, workspace_of
from millrace.console.local_cloud.local_cloud import (
    ACCOUNT,
    PLATFORM,
    REGION,
    LocalCloud,
    deploy,
    find_cloud,
    start_cloud,
    start_synthesis,
)
from millrace.console.local_cloud.processes import STOP_S, Process, Processes, end_workers
from millrace.console.stages import declared_options
from millrace.errors import LocalCloudError
from millrace.workload.load import SUITE

CDK = (Path("node_modules/.bin/cdk"), SUITE / "build/node/node_modules/.bin/cdk")
"""The CDK's command line, as `npm install` puts it into a project and `make setup` into the suite's own."""
METADATA = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}
"""Context that the CDK's command line sets. With it, a later `cdk deploy` finds the templates unchanged."""

Said = Callable[[str], None]


def start_instance(build: Path, *, is_empty: bool, said: Said, workloads: Sequence[str] = ()) -> Instance:
    """The cloud of this build folder, started unless it runs, with the app deployed into it unless `is_empty`.

    `workloads` are deployed; none means all.
    Raises LocalCloudError if synthesis or deployment fails. A cloud that ran before keeps running then."""
    folder = build.resolve() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder=folder)
    with alone_in(build):
        try:
            instance = find_instance(build)
            if instance is None:
                _tell_of_dead(build, said)
                # A cloud that was killed may have left processes.
                end_workers(workspace_of(build))
                return _start(build, processes, is_empty=is_empty, said=said, workloads=workloads)
            said(f"The local cloud runs already, process {instance.pid}.")
            if not is_empty:
                _deploy(processes, instance, start_synthesis(processes, METADATA, workloads=workloads), said)
            return instance
        finally:
            processes.stop()


def _tell_of_dead(build: Path, said: Said) -> None:
    """Report a cloud that ended without `millrace down`: it was killed, or it ended with its machine.

    Its file is still there, since only `down` removes it."""
    with suppress(OSError, ValueError, KeyError):
        pid = json.loads((build / UP_FILE).read_text())["pid"]
        said(f"The local cloud that ran here, process {pid}, has gone, and with it all rows, models and decisions.")


def end_instance(build: Path, said: Said) -> None:
    """Stop the cloud with all its processes, remove its files, and say what was ended."""
    nothing = f"No local cloud ran for {build}."
    if not build.is_dir():
        return said(nothing)
    with alone_in(build):
        instance, noted = find_instance(build), (build / UP_FILE).exists()
        if instance is None:
            _tell_of_dead(build, said)
        else:
            _end(instance.pid)
        left = end_workers(workspace_of(build))
        (build / UP_FILE).unlink(missing_ok=True)
        shutil.rmtree(build / FOLDER, ignore_errors=True)
    if left and instance is None:
        return said(f"It had left {left} {'process' if left == 1 else 'processes'}, which have ended.")
    if instance is not None:
        return said(f"The local cloud has ended, process {instance.pid}.")
    return None if noted else said(nothing)


def _start(build: Path, processes: Processes, *, is_empty: bool, said: Said, workloads: Sequence[str]) -> Instance:
    shutil.rmtree(workspace_of(build), ignore_errors=True)
    # Server and synthesis run side by side; each takes seconds.
    cloud = start_cloud(processes)
    synthesis = None if is_empty else start_synthesis(processes, METADATA, workloads=workloads)
    instance = Instance(cloud=find_cloud(cloud), pid=cloud.popen.pid, folder=processes.folder)
    # Written before the deployment. If this command is killed on the way, `down` still finds the cloud.
    _note(build / UP_FILE, json.dumps({**asdict(instance.cloud), "pid": instance.pid}))
    try:
        if synthesis is not None:
            _deploy(processes, instance, synthesis, said)
    # An interrupt too must not leave a note of a cloud that `processes.stop` is about to end.
    except BaseException:
        (build / UP_FILE).unlink()
        raise
    # From here on the cloud outlives this command: `processes.stop` leaves it alone.
    processes.release(cloud)
    said(f"The local cloud runs, process {instance.pid}.")
    return instance


def _note(path: Path, text: str) -> None:
    """Write the file by a rename, so that a reader never sees half of it. No other user may read it."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.rename(path)


def find_cdk() -> str:
    """The path of the CDK's command line: the project's own, the suite's own, else the one on the PATH.

    Raises LocalCloudError if there is none."""
    if (found := next((str(path.absolute()) for path in CDK if path.exists()), None) or shutil.which("cdk")) is None:
        raise LocalCloudError(
            f"the CDK's program: expected it at {CDK[0]} or `cdk` on the PATH, got neither; `npm install` brings it"
        )
    return found


def _start_bootstrap(processes: Processes, instance: Instance) -> Process:
    """Start `cdk bootstrap` in a folder without an app: it would synthesize an app that it finds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return processes.start(
        "bootstrap",
        ["bootstrap", f"aws://{ACCOUNT}/{REGION}"],
        log="bootstrap.log",
        program=[find_cdk()],
        environment={**instance.environment, "PATH": path, "HOME": str(processes.folder)},
        cwd=processes.folder,
    )


def _deploy(processes: Processes, instance: Instance, synthesis: Process, said: Said) -> None:
    _start_bootstrap(processes, instance).succeed()
    synthesis.succeed()
    _check_webhook(instance.cloud)
    deploy(processes, instance.cloud)
    for stack in instance.cloud.deployments()[-1]["stacks"]:
        if stack["status"] != "UNCHANGED":
            said(f"{stack['name']}: {stack['status']}, {stack['resources']} resources")


def _check_webhook(cloud: LocalCloud) -> None:
    """Raise LocalCloudError if the cloud lacks the secret with the chat's URL: the platform's stack would fail."""
    if not (name := declared_options(PLATFORM.stage).get("alarm_webhook")):
        return
    secrets = cloud.client("secretsmanager")
    try:
        secrets.describe_secret(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException:
        # Of AWS's two command lines one takes the option `--secret-string <URL>` for a file to be fetched.
        secret = json.dumps({"Name": name, "SecretString": "<URL>"})
        raise LocalCloudError(
            f"cdk.json: stages.{PLATFORM.stage}.alarm_webhook: expected the secret {name} in the local cloud, got "
            f"none: `millrace up --empty`, then `aws secretsmanager create-secret --cli-input-json '{secret}'`, then "
            "`millrace up`"
        ) from None


def _end(pid: int) -> None:
    """Send TERM, after which the cloud ends what it has started. Send KILL if it has not ended after STOP_S seconds."""
    command = command_of(pid)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        # The command line tells the process from a later one with the same id. It is empty for a process that has ended
        # and was not collected by its parent.
        while command_of(pid) == command and time.monotonic() < end:
            time.sleep(0.02)
        if command_of(pid) == command:
            os.killpg(pid, signal.SIGKILL)
