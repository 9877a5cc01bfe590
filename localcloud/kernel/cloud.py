"""The object that one running local cloud is: address, clock, processes and bus.

All fillers share it. A filler is a folder that fills the gaps of moto for one service, such as `localcloud/sqs`."""

from __future__ import annotations

import json
import logging
import secrets
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from localcloud.kernel import call_tracer, cloud_time
from localcloud.kernel.bus import deliver
from localcloud.kernel.clock import Clock
from localcloud.kernel.memory import end_before_the_cloud
from localcloud.kernel.processes import Process, Start, signal_group, started_by_itself
from localcloud.kernel.trust import check_trust

# The threads of one cloud. Each is kept from its start, so that the end of the cloud can wait for it.

PRUNED_FROM = 256
"""Above this number of kept threads, those that have ended are forgotten."""


class Threads:
    """A list of threads. A thread may be appended before or after its start."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def append(self, thread: threading.Thread) -> None:
        with self._lock:
            if len(self._threads) > PRUNED_FROM:
                self._threads = [one for one in self._threads if not _has_ended(one)]
            self._threads.append(thread)

    def join(self, within_s: float) -> list[threading.Thread]:
        """Wait at most `within_s` seconds in all, and return the threads that have not ended.

        Threads that were started meanwhile count too."""
        deadline = time.monotonic() + within_s
        # Looked up anew after each thread: a thread that ends may have started another one.
        while (running := self._running()) and (left_s := deadline - time.monotonic()) > 0:
            running[0].join(left_s)
        return running

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            self._threads = [one for one in self._threads if not _has_ended(one)]
            return [one for one in self._threads if one.is_alive() and one is not threading.current_thread()]


def _has_ended(thread: threading.Thread) -> bool:
    # A thread that was not started yet is not alive either. It has no `ident`, so it is kept.
    return thread.ident is not None and not thread.is_alive()


ACCOUNT = "123456789012"
"""The account id that moto answers with."""
REGION = "eu-west-1"
RUN = "MILLRACE_RUN"
"""The environment variable by which each process that a cloud starts names the cloud's run."""
STOP_S = 2.0
"""Seconds that processes have between TERM and KILL when the cloud stops."""
SETTLE_S = 5.0
"""The most seconds that a stopped cloud waits for its threads."""

LOG = logging.getLogger(__name__)
PartT = TypeVar("PartT")


def moto_backend(service: str, region: str = REGION, *, account: str = ACCOUNT) -> Any:
    """moto's state of a service. Those without regions (IAM, S3, STS) have it in the region `aws`."""
    from moto.backends import get_backend

    found: Any = get_backend(service)  # type: ignore[call-overload]
    return found[account][region]


@dataclass(kw_only=True)
class Cloud:
    """One running local cloud. `localcloud.kernel.server` makes it and hands it to each filler's `install(cloud)`."""

    workspace: Path
    """Everything that the cloud writes lies below this folder (`build/local`)."""
    port: int
    secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    """The secret of this run. The routes below `/_millrace/` answer only to a request that has it."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names this run in the environment of all processes."""
    region: str = REGION
    clock: Clock = field(default_factory=Clock)
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the cloud begins to stop. Every loop of a thread looks at it."""
    routes: dict[str, Callable[..., Iterable[bytes]]] = field(default_factory=dict)
    """WSGI applications by the beginning of their path, such as `/_millrace/denials`. The longest match answers."""
    guards: list[Callable[[Any], tuple[str, list[tuple[str, str]], bytes] | None]] = field(default_factory=list)
    """Called with each signed call (`localcloud.kernel.calls.Call`) before moto sees it.

    A guard returns None to let the call pass, or a status line, headers and body, which are sent in moto's place."""
    watchers: list[Callable[[Sequence[str], Mapping[str, str]], None]] = field(default_factory=list)
    """Called before each start of a process, with its arguments and its whole environment."""
    parts: dict[type, Any] = field(default_factory=dict)
    """The objects that fillers keep for as long as the cloud runs, by their class (see `part`)."""
    pending: list[Callable[[], list[str]]] = field(default_factory=list)
    """One function per service, which returns what is under way, in lines for people. Idle means: all return nothing.

    A line is for example `invocation of millrace-local-electricity-intake`."""
    retries: list[Callable[[], list[str]]] = field(default_factory=list)
    """As `pending`, for what has failed and is tried again when the cloud's clock says so."""
    deployments: list[dict[str, Any]] = field(default_factory=list)
    """What deployers have reported, oldest first; each with the `assembly`, a folder."""
    after_deployment: list[Callable[[], None]] = field(default_factory=list)
    """Called, each on a thread of its own, after a deployer has reported what it deployed."""
    denials: list[Any] = field(default_factory=list)
    """The calls of roles that were refused (`localcloud.iam.identity.Denial`), oldest first."""
    threads: Threads = field(default_factory=Threads)
    """All threads that run for the cloud. Its end waits for them."""
    application: Any = None
    """The WSGI application behind the address. The server sets it before it installs the fillers."""
    end_server: Callable[[], None] = lambda: None
    """Ends the threads that accept connections and answer requests. The server sets it."""
    loops: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    """The threads that run as long as the cloud does (see `loop`)."""
    _clients: dict[str, Any] = field(default_factory=dict)
    _processes: dict[int, Process] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_stop: list[Callable[[], None]] = field(default_factory=list)

    def part(self, kind: type[PartT], make: Callable[[], PartT] | None = None) -> PartT:
        """The cloud's one object of the class `kind`, made on first use by `make` or by the class itself."""
        # `setdefault` is one step: if two threads make the object at once, both get the first one's.
        if kind not in self.parts:
            self.parts.setdefault(kind, (make or kind)())
        kept: PartT = self.parts[kind]
        return kept

    @property
    def endpoint_url(self) -> str:
        """`http://localhost:PORT`. Never 127.0.0.1: moto's parser of template URLs does not know that host."""
        return f"http://localhost:{self.port}"

    @property
    def entered(self) -> Path:
        """The file that the call tracers write (`localcloud.kernel.call_tracer`). It exists only while they trace."""
        return self.workspace / "entered"

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's keys, for what fillers do on the cloud's own behalf.

        There is one client per service, for all threads. It calls the application without a socket (see
        `localcloud.kernel.transport`), so its calls are not counted among those that the cloud serves."""
        from localcloud.kernel.transport import connect

        # Under the lock: a client is safe in threads, but to make one is not.
        with self._lock:
            if service not in self._clients:
                made = boto3.client(
                    service,
                    endpoint_url=self.endpoint_url,
                    region_name=self.region,
                    aws_access_key_id="local",
                    aws_secret_access_key="local",  # noqa: S106 - no secret: it is not checked
                    config=Config(retries={"total_max_attempts": 1}),
                )
                self._clients[service] = connect(made, self.application)
            return self._clients[service]

    def role_environment(self, role_arn: str, session: str, *, service: str | None = None) -> dict[str, str]:
        """The environment variables by which a process acts as the role: temporary keys, address, region.

        `service` (`lambda.amazonaws.com`) is the service that assumes the role. Raises PermissionError if the role
        does not trust it; with None no trust policy is checked."""
        if service is not None:
            check_trust(role_arn, service)
        assumed = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session[:64])
        keys = assumed["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            # The SDK would compute a checksum of each body. On loopback that only costs time.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }

    def spawn(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: Path,
        start: Start = started_by_itself,
    ) -> Process:
        """Start a process in a process group of its own, with its output appended to `log`.

        The process sees `environment`, the run, the files of call tracer and clock, and no other variable.
        `stop` ends it if it still runs then. Raises RuntimeError if the cloud stops."""
        log.parent.mkdir(parents=True, exist_ok=True)
        own = {call_tracer.FILE: str(self.entered), cloud_time.FILE: str(self.clock.file), RUN: self.run}
        whole = {**environment, **own}
        for watcher in self.watchers:
            watcher(arguments, whole)
        # `stop` takes the lock after it has set `stopping`. So it sees each process that was started before, and none
        # is started after.
        with self._lock, log.open("ab") as output:
            if self.stopping.is_set():
                raise RuntimeError(f"the cloud stops: {arguments[0]} is not started")
            process = start(arguments, whole, cwd, output)
            end_before_the_cloud(process.pid)
            # Processes that have ended are forgotten: the system gives their ids to others, which must get no signal.
            self._processes = {pid: other for pid, other in self._processes.items() if other.poll() is None}
            self._processes[process.pid] = process
        return process

    def background(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Run `run` on a daemon thread and return the thread. `run` must return soon after `stopping` is set."""
        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def loop(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """As `background`, for a thread that runs as long as the cloud. After a checkpoint it is started again."""
        self.loops.append((name, run))
        return self.background(name, run)

    def every(self, period_s: float, name: str, act: Callable[[], object]) -> None:
        """Call `act` after each `period_s` real seconds, in a thread of its own, until the cloud stops."""

        def run() -> None:
            while not self.stopping.wait(period_s):
                act()

        self.loop(name, run)

    def resume(self) -> None:
        """Go on after `stop`, in a fork of the process in which all threads had ended."""
        self.stopping.clear()
        for name, run in self.loops:
            self.background(name, run)

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], *, resources: Sequence[str] = ()) -> str:
        """Put an event on the default bus in the name of a service of AWS, and return the event's id.

        Example: `emit("aws.states", "Step Functions Execution Status Change", {"status": "FAILED", …})`."""
        event_id = str(uuid.uuid4())
        event = {
            "version": "0",
            "id": event_id,
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": list(resources),
            # As JSON has it: times become text.
            "detail": json.loads(json.dumps(detail, default=str)),
        }
        deliver(event, bus="default")
        return event_id

    def at_stop(self, action: Callable[[], None]) -> None:
        """Call `action` when the cloud stops, after `stopping` is set and before its processes are ended."""
        self._at_stop.append(action)

    def follow(self, wanted: bool) -> None:
        """Let every process of functions, jobs and endpoints write its calls to `entered`, or stop that.

        Raises ValueError if this process does not ignore the tracers' signal."""
        # A process that this one started inherits what it does with the signal, and may have no tracer yet.
        if signal.getsignal(call_tracer.SIGNAL) is not signal.SIG_IGN:
            raise ValueError("follow: expected a cloud in a process of its own, which ignores the call tracers' signal")
        if wanted:
            self.entered.touch()
        else:
            self.entered.unlink(missing_ok=True)
        with self._lock:
            for process in self._processes.values():
                if process.poll() is None:
                    signal_group(process, call_tracer.SIGNAL)

    def stop(self) -> None:
        """End every process that the cloud started: TERM to each group, then KILL to those left after STOP_S."""
        # First the flag, which keeps `spawn` from starting another process. Then the actions wake waiting threads.
        self.stopping.set()
        for action in self._at_stop:
            action()
        with self._lock:
            left = [process for process in self._processes.values() if process.poll() is None]
        for process in left:
            signal_group(process, signal.SIGTERM)
        # One deadline for all: the processes end side by side, so many of them take no longer than one.
        end = time.monotonic() + STOP_S
        for process in left:
            try:
                process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                signal_group(process, signal.SIGKILL)
                process.wait()

    def settle(self) -> None:
        """Wait for the threads of a cloud that has stopped. The log names those that hang; they are left behind."""
        left = self.threads.join(SETTLE_S)
        if left:
            LOG.error("the cloud ended, these of its threads did not: %s", sorted(thread.name for thread in left))
