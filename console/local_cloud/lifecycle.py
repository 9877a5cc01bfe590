"""The local cloud in the background: start it once, deploy into it whenever templates change, end it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from console.environment import UP_FILE
from console.local_cloud.local_cloud import (
    ACCOUNT,
    PLATFORM,
    REGION,
    SECRET_VARIABLE,
    LocalCloud,
    deploy,
    find_cloud,
    start_cloud,
    start_synthesis,
)
from console.local_cloud.processes import STOP_S, Process, Processes, end_workers, workspace
from console.stages import declared_webhook
from millrace.errors import LocalCloudError

FOLDER = "up"
"""Its folder below the build folder; a demo beside it writes elsewhere."""
CDK = Path(__file__).resolve().parents[2] / "build" / "node" / "node_modules" / ".bin" / "cdk"
METADATA = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}
"""Context that the CDK's command line sets: with it a later `cdk deploy` finds the templates unchanged."""

Said = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A local cloud in the background."""

    cloud: LocalCloud
    pid: int
    folder: Path
    """All its files are below it."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for AWS clients, with placeholder credentials, and for the app the folder of this cloud's files."""
        return {
            "MILLRACE_BUILD": str(self.folder),
            "AWS_ENDPOINT_URL": self.cloud.endpoint_url,
            SECRET_VARIABLE: self.cloud.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }


def find_instance(build: Path) -> Instance | None:
    """The running cloud of this build folder; None when there is none, or its process has ended."""
    path = build / UP_FILE
    if not path.is_file():
        return None
    noted = json.loads(path.read_text())
    if str(_workspace(build)) not in _command(noted["pid"]):
        return None
    cloud = LocalCloud(endpoint_url=noted["endpoint_url"], secret=noted.get("secret", ""))
    return Instance(cloud=cloud, pid=noted["pid"], folder=build.resolve() / FOLDER)


def start_instance(build: Path, *, is_empty: bool, said: Said, workloads: Sequence[str] = ()) -> Instance:
    """The cloud of this build folder, started if none runs, with the present app deployed unless `is_empty`: these
    workloads, or all.

    Raises LocalCloudError when synthesis or deployment fail; a cloud that ran before keeps running."""
    folder = build.resolve() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder=folder)
    with _alone(build):
        try:
            instance = find_instance(build)
            if instance is None:
                _tell_of_dead(build, said)
                end_workers(_workspace(build))
                return _start(build, processes, is_empty=is_empty, said=said, workloads=workloads)
            said(f"The local cloud runs already, process {instance.pid}.")
            if not is_empty:
                _deploy(processes, instance, start_synthesis(processes, METADATA, workloads=workloads), said)
            return instance
        finally:
            processes.stop()


def _tell_of_dead(build: Path, said: Said) -> None:
    """`down` takes its note away: one without its process is of a cloud that was killed, or ended with its machine."""
    with suppress(OSError, ValueError, KeyError):
        pid = json.loads((build / UP_FILE).read_text())["pid"]
        said(f"The local cloud that ran here, process {pid}, has gone, and with it all rows, models and decisions.")


def end_instance(build: Path) -> int | None:
    """End the cloud with all its processes and remove its files; its process id, None when none ran."""
    if not build.is_dir():
        return None
    with _alone(build):
        instance = find_instance(build)
        if instance is not None:
            _end(instance.pid)
        end_workers(_workspace(build))
        (build / UP_FILE).unlink(missing_ok=True)
        shutil.rmtree(build / FOLDER, ignore_errors=True)
    return instance.pid if instance else None


@contextmanager
def _alone(build: Path) -> Iterator[None]:
    """In the block, no other command starts or ends the cloud of this build folder (a file lock)."""
    folder = os.open(build, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _start(build: Path, processes: Processes, *, is_empty: bool, said: Said, workloads: Sequence[str]) -> Instance:
    shutil.rmtree(_workspace(build), ignore_errors=True)
    cloud = start_cloud(processes)
    synthesis = None if is_empty else start_synthesis(processes, METADATA, workloads=workloads)
    instance = Instance(cloud=find_cloud(cloud), pid=cloud.popen.pid, folder=processes.folder)
    # Before anything else, so that `down` ends also a cloud whose command was killed on the way.
    _note(build / UP_FILE, json.dumps({**asdict(instance.cloud), "pid": instance.pid}))
    try:
        if synthesis is not None:
            _deploy(processes, instance, synthesis, said)
    except BaseException:
        (build / UP_FILE).unlink()
        raise
    processes.release(cloud)
    said(f"The local cloud runs, process {instance.pid}.")
    return instance


def _note(path: Path, text: str) -> None:
    """Written by rename, so that a reader never sees half of it; no other user may read it."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.rename(path)


def _start_bootstrap(processes: Processes, instance: Instance) -> Process:
    """`cdk bootstrap`, in a folder without an app, which it would synthesize."""
    if not CDK.exists():
        raise LocalCloudError(
            f"bootstrap: expected the CDK's command line at {CDK}, got nothing; `make setup` installs it"
        )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return processes.start(
        "bootstrap",
        ["bootstrap", f"aws://{ACCOUNT}/{REGION}"],
        log="bootstrap.log",
        program=[str(CDK)],
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
    """Raise LocalCloudError where the cloud lacks the secret with the chat's URL: the platform's stack would fail."""
    if not (name := declared_webhook(PLATFORM.stage)):
        return
    secrets = cloud.client("secretsmanager")
    try:
        secrets.describe_secret(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException:
        # Of AWS's two command lines one takes the option `--secret-string <URL>` for a file to be fetched.
        secret = json.dumps({"Name": name, "SecretString": "<URL>"})
        raise LocalCloudError(
            f"cdk.json: alarm_webhook.{PLATFORM.stage}: expected the secret {name} in the local cloud, got none: "
            f"`millrace up --empty`, then `aws secretsmanager create-secret --cli-input-json '{secret}'`, then "
            "`millrace up`"
        ) from None


def _workspace(build: Path) -> Path:
    return workspace(build / FOLDER)


def _command(pid: int) -> str:
    """The command line of a process; an empty word where it has gone, also if nobody has collected it yet."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def _end(pid: int) -> None:
    """TERM, upon which the cloud ends what it started; KILL if it has not gone after STOP_S."""
    command = _command(pid)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while _command(pid) == command and time.monotonic() < end:
            time.sleep(0.02)
        if _command(pid) == command:
            os.killpg(pid, signal.SIGKILL)
