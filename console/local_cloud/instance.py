"""The local cloud that runs in the background, by the file that it leaves in the build folder."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from millrace.console.local_cloud.local_cloud import REGION, SECRET_VARIABLE, LocalCloud
from millrace.console.local_cloud.processes import workspace

UP_FILE = "up.json"
"""`millrace up` writes this file to the build folder: `{"endpoint_url": "http://…", "secret": "…", "pid": 4711}`."""
FOLDER = "up"
"""Its folder below the build folder. A demo that runs at the same time writes elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A local cloud that runs in the background."""

    cloud: LocalCloud
    pid: int
    folder: Path
    """All its files lie below this folder."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables: for AWS clients, with placeholder credentials, and for the app the folder of its
        files."""
        return {
            "MILLRACE_BUILD": str(self.folder),
            "AWS_ENDPOINT_URL": self.cloud.endpoint_url,
            # Else the AWS CLI asks another host for some operations: `sync-localhost` for TestState.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            SECRET_VARIABLE: self.cloud.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }


def find_instance(build: Path) -> Instance | None:
    """The cloud of this build folder that is running; None if there is none, or if its process has ended."""
    path = build / UP_FILE
    if not path.is_file():
        return None
    noted = json.loads(path.read_text())
    # The process id may belong to another process by now. The cloud's command line names its workspace.
    if str(workspace_of(build)) not in command_of(noted["pid"]):
        return None
    cloud = LocalCloud(endpoint_url=noted["endpoint_url"], secret=noted["secret"])
    return Instance(cloud=cloud, pid=noted["pid"], folder=build.resolve() / FOLDER)


def workspace_of(build: Path) -> Path:
    return workspace(build / FOLDER)


def command_of(pid: int) -> str:
    """The command line of a process; empty if the process has ended, even if its parent has not collected it yet."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
