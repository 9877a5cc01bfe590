"""The processes that run functions: started on demand, reused while idle, ended on a timeout or too much memory."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from localcloud.awslambda.runtime_api import Invocation, RuntimeApi
from localcloud.iam.identity import refused
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import key_arn, permission, resource_arn
from localcloud.kernel import fork_server
from localcloud.kernel.clock import locate
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.cloud_time import machine_time
from localcloud.kernel.forks import READ_AT_IMPORT, Fork, ForkServer, fork_servers
from localcloud.kernel.memory import exceed, held_mb, members
from localcloud.kernel.processes import Process, signal_group, started_by_itself

# Starts functions as forks of a process that has imported the packages of their layers. That saves half a second each.
#
# AWS starts each function in a sandbox of its own. Here the first function with a list of layers starts a fork server
# with these layers, and all functions with the same list are forks of it.

INTERPRETER = (sys.executable, "-I", "-S")
"""`-I` and `-S` keep the host's environment and packages off the path."""
LARGE = (
    "boto3.s3.inject",
    "simplejson",
    "zoneinfo",
    "pydantic.dataclasses",  # with it comes nearly all that the package would else import on first use
    "yaml",
    "aws_lambda_powertools.utilities.data_classes",
    "numpy",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pyiceberg.catalog.glue",
)
"""The modules that functions import. Those that the layers do not have are skipped."""


def forked(
    cloud: Cloud, libraries: Sequence[Path], arguments: Sequence[str], environment: Mapping[str, str]
) -> Fork | None:
    """What starts a function's process as a fork of the server with these folders; None if no fork is possible.

    `libraries` are the folders of the layers and of the runtime, as they stand on the import path."""
    # The server imports under the runtime's own variables. They are a part of its name, so that functions for which
    # they differ get another server.
    own = {name: text for name, text in environment.items() if _is_of_runtime(name)}
    server = ForkServer(
        name=f"layers-{sha256(str((libraries, sorted(own.items()))).encode()).hexdigest()[:16]}",
        interpreter=INTERPRETER,
        program=("-B", fork_server.__file__),
        modules=LARGE,
        folders=libraries,
        environment=own,
        cwd=libraries[-1],
    )
    return fork_servers(cloud).find(server, arguments, environment)


def _is_of_runtime(name: str) -> bool:
    return name in {"PATH", "LANG", "TZ"} or (name.startswith("AWS_") and name.startswith(READ_AT_IMPORT))


# Finds a function's code and layers on disk: where they were staged, or unzipped once under their digest.

REFERENCE = ".asset.json"
"""The only member of a zip that refers to a staged file or folder. Its content is `{"path": "/absolute/path"}`.

`localcloud.deploy` makes such zips, so that no large asset is copied."""
RUNTIME_MODULES = (
    "awslambdaric",
    "runtime_client",
    "simplejson",
    "snapshot_restore_py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six",
    "urllib3",
)
"""The modules that AWS's managed Python runtime brings: its client with two dependencies, and the SDK."""

# Workers of several functions may start at once with the same layers: one of them unzips, the others wait.
_unzipping = threading.Lock()


def layer_roots(cloud: Cloud, function: Any) -> list[Path]:
    """The folders that together are `/opt` on AWS, the strongest first: that is the last in the function's list."""
    backend = moto_backend("lambda", function.region, account=function.account_id)
    versions = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
    # Outside of the workspace, which is each cloud's own: the next cloud finds the large layers unzipped.
    layers = cloud.workspace.parent / "layers"
    return [_unpacked(version.code_bytes, layers) for version in reversed(versions)]


def runtime_root(cloud: Cloud) -> Path:
    """A folder of links to the modules that the managed runtime brings, without any other package of the host.

    So a function that forgot to bundle a package fails here as it would on AWS."""
    root = cloud.workspace / "functions" / "runtime"
    with _unzipping:
        if not root.exists():
            building = root.with_name("runtime.new")
            building.mkdir(parents=True, exist_ok=True)
            for name in RUNTIME_MODULES:
                source = locate(name)
                link = building / source.name
                if not link.exists():
                    link.symlink_to(source)
            # Renamed once it is whole: a cloud that is killed in between leaves no half-filled folder under the name.
            building.rename(root)
    return root


def _unpacked(content: bytes, folder: Path) -> Path:
    """The folder with the zip's members, or with what the zip refers to. Raises FileNotFoundError for no bytes."""
    if not content:
        raise FileNotFoundError("expected a zip as the code of the function or layer, got no bytes")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.namelist() != [REFERENCE]:
            return _unzipped(archive, folder / hashlib.sha256(content).hexdigest())
        staged = Path(json.loads(archive.read(REFERENCE))["path"])
    # A folder runs where it was staged; an archive is unzipped under the digest of its own bytes.
    if staged.is_dir():
        return staged
    with zipfile.ZipFile(staged) as archive, staged.open("rb") as file:
        return _unzipped(archive, folder / hashlib.file_digest(file, "sha256").hexdigest())


def _unzipped(archive: zipfile.ZipFile, root: Path) -> Path:
    with _unzipping:
        if not root.exists():
            building = root.with_name(f"{root.name}.new")
            archive.extractall(building)
            building.rename(root)
    return root


INITIALISATION_S = 60.0
"""Seconds for the import of the handler. AWS gives 10 s; a first import on a busy laptop compiles every module."""
WATCH_S = 0.05
"""Seconds between two readings of a busy worker's memory."""


class KeyRefusedError(PermissionError):
    """The function's role may not decrypt the function's environment variables."""


class Worker:
    """One process of one function, with its Runtime API. It takes one event at a time."""

    def __init__(self, cloud: Cloud, function: Any, log: Path) -> None:
        """Start the process. Raises PermissionError if the role does not trust Lambda.

        Raises KeyRefusedError if the role may not decrypt the function's variables."""
        self.fingerprint = fingerprint(function)
        self.function_arn = function.function_arn
        self.born = time.monotonic()
        self.memory_mb = int(function.memory_size)
        self.peak_mb = 0.0
        self.ended_for = ""
        # The import path as on AWS: the code, the layers, then what the runtime brings.
        root = _unpacked(function.code_bytes, cloud.workspace / "functions" / "code")
        libraries = [*_library_folders(layer_roots(cloud, function)), runtime_root(cloud)]
        main = Path(__file__).with_name("function_main.py")
        self._scratch = cloud.workspace / "functions" / "scratch" / uuid.uuid4().hex
        self._scratch.mkdir(parents=True)
        self._current: Invocation | None = None
        self.api = RuntimeApi(cloud.background)
        try:
            folders = ":".join(map(str, [root, *libraries]))
            arguments = [*INTERPRETER, str(main), folders, function.handler]
            environment = self._environment(cloud, function, root)
            start = forked(cloud, libraries, arguments, environment) or started_by_itself
            self.process: Process = cloud.spawn(arguments, environment=environment, cwd=root, log=log, start=start)
        except BaseException:
            # The role does not trust Lambda, or the cloud stops. The Runtime API's thread must end too.
            self._leave_nothing()
            raise
        cloud.background("reaper", self._reap)

    def wait_until_ready(self) -> None:
        """Returns when the handler is imported, or when the worker has ended. Ends a worker that takes too long."""
        deadline = time.monotonic() + INITIALISATION_S
        while not self.api.ready.wait(WATCH_S) and self.alive and time.monotonic() < deadline:
            self._watch(members(self.process.pid))
        if not self.api.ready.is_set():
            self.end("Sandbox.Timedout")

    def run(self, invocation: Invocation) -> None:
        """Returns when `invocation` is done. A worker that does not answer in time, or needs too much memory, is ended.

        Then `ended_for` says why."""
        # Before `give`: if the process ends right away, its reaper must find the event that it has to end.
        self._current = invocation
        self.api.give(invocation)
        # Three threads share an invocation. The Runtime API's hands it over and takes the answer. The reaper sets
        # `done` if the process ends without an answer. This one watches memory and time in between.
        while not invocation.done.wait(WATCH_S) and self.alive:
            self._watch(members(self.process.pid))
            if invocation.taken.is_set() and machine_time() > invocation.deadline:
                self.end("Sandbox.Timedout")
        # What it has started counts in the loop: a short call costs no look at that.
        self._watch([self.process.pid])
        self._current = None

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self, reason: str = "") -> None:
        """Kill the process and all that it has started. `reason` is in the words of Lambda's REPORT line."""
        if self.alive:
            # The reason first: as soon as the process is gone, the reaper wakes the pool, which reads it.
            self.ended_for = reason
            signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def _reap(self) -> None:
        """Wait on a thread of its own for the end of the process, and clean up after it."""
        self.process.wait()
        # Wakes whoever waits for the answer. Without an answer the pool reports `Runtime.ExitError`. The field is read
        # once, since `run` may clear it between a check and its use.
        current = self._current
        if current is not None:
            current.done.set()
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        self.api.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _watch(self, pids: Collection[int]) -> None:
        used_mb = held_mb(pids)
        self.peak_mb = max(self.peak_mb, used_mb)
        if used_mb > self.memory_mb and exceed(pids, self.memory_mb):
            self.end("Runtime.OutOfMemory")

    def _environment(self, cloud: Cloud, function: Any, root: Path) -> dict[str, str]:
        _check_role(cloud, function)
        variables = {name: str(value) for name, value in (function.environment_vars or {}).items()}
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(self._scratch),
            # Lambda's own names come after the function's: they are reserved, and the role's keys must win.
            **variables,
            **cloud.role_environment(
                function.role, function.function_name.ljust(2, "-"), service="lambda.amazonaws.com"
            ),
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(root),
            "LAMBDA_RUNTIME_DIR": str(runtime_root(cloud)),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[{function.version}]{self._scratch.name}",
        }


def _check_role(cloud: Cloud, function: Any) -> None:
    """Check the permissions that Lambda itself uses in the role's name.

    Raises KeyRefusedError if the role may not decrypt the function's variables. On AWS a function without permissions
    for its log runs and leaves no log. Here such a refusal is only recorded."""
    group = resource_arn("logs", f"log-group:{function.logs_group_name}")
    for verb in ("CreateLogStream", "PutLogEvents"):
        request = permission(f"logs:{verb}", group, f"{group}:*", f"{group}:log-stream:one")
        refused(cloud, function.role, "lambda:Invoke", request)
    key = function.kms_key_arn
    if key and function.environment_vars:
        mine = {"kms:encryptioncontext:aws:lambda:functionarn": (function.function_arn,)}
        request = Request(action="kms:Decrypt", resources=(key_arn(key),), context=mine)
        if refused(cloud, function.role, "lambda:Invoke", request):
            raise KeyRefusedError(
                "Lambda was unable to decrypt the environment variables because KMS access was denied. "
                "Please check the function's KMS key settings."
            )


def fingerprint(function: Any) -> str:
    """A text of all that a worker depends on. If two states of a function have the same, one worker may serve both."""
    parts = (
        function.function_arn,
        function.code_sha_256,
        function.handler,
        function.role,
        function.memory_size,
        function.run_time,
        sorted((function.environment_vars or {}).items()),
        [layer["Arn"] for layer in function.layers],
    )
    return json.dumps(parts, default=str)


def _library_folders(layers: list[Path]) -> list[Path]:
    # These folders of a layer are on the path of AWS's Python runtime, in this order.
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    in_order = [
        folder for root in layers for folder in (root / "python/lib" / minor / "site-packages", root / "python")
    ]
    return [folder for folder in in_order if folder.is_dir()]
