"""What the fillers (the folders that fill a gap of moto, one per service) share: address, clock, processes, bus."""

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

from infra.local.kernel import call_tracer
from infra.local.kernel.bus import deliver
from infra.local.kernel.clock import Clock
from infra.local.kernel.processes import Process, Start, signal_group, started_by_itself
from infra.local.kernel.threads import Threads
from infra.local.kernel.trust import check_trust

ACCOUNT = "123456789012"
"""The account id that moto answers with."""
REGION = "eu-west-1"
STOP_S = 2.0
SETTLE_S = 5.0
"""The longest that a stopped cloud waits for its threads."""

LOG = logging.getLogger(__name__)
PartT = TypeVar("PartT")


@dataclass(kw_only=True)
class Cloud:
    """One running local cloud; created by `infra.local.kernel.server`, handed to each filler's `install(cloud)`."""

    workspace: Path
    """Everything that the cloud writes lies below this folder (`build/local`)."""
    port: int
    secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    """Of this run; the routes below `/_millrace/` answer only to it."""
    region: str = REGION
    clock: Clock = field(default_factory=Clock)
    stopping: threading.Event = field(default_factory=threading.Event)
    routes: dict[str, Callable[..., Iterable[bytes]]] = field(default_factory=dict)
    """WSGI applications by path prefix below `/_millrace/`; the longest prefix answers."""
    guards: list[Callable[[Any], tuple[str, list[tuple[str, str]], bytes] | None]] = field(default_factory=list)
    """Called with each signed call (`infra.local.kernel.calls.Call`) before moto; an answer other than None is sent."""
    watchers: list[Callable[[Sequence[str], Mapping[str, str]], None]] = field(default_factory=list)
    """Called for each process that is started, with its arguments and its whole environment."""
    parts: dict[type, Any] = field(default_factory=dict)
    """What a filler keeps for as long as the cloud runs, by its class."""
    pending: list[Callable[[], list[str]]] = field(default_factory=list)
    """What is under way, in lines for people, by service; the cloud is idle when all of them are empty."""
    after_deployment: list[Callable[[], None]] = field(default_factory=list)
    """Called, each on a thread of its own, when a deployer has told what it did."""
    denials: list[Any] = field(default_factory=list)
    """What roles were refused (`infra.local.iam.identity.Denial`), oldest first."""
    threads: Threads = field(default_factory=Threads)
    """All that run for the cloud; its end waits for them."""
    application: Any = None
    """The WSGI application behind the address; the server sets it before the fillers are installed."""
    _clients: dict[str, Any] = field(default_factory=dict)
    _processes: dict[int, Process] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_stop: list[Callable[[], None]] = field(default_factory=list)

    def part(self, kind: type[PartT], make: Callable[[], PartT] | None = None) -> PartT:
        """The cloud's one part of a class, made on first use; of two threads at once the first one's stays."""
        if kind not in self.parts:
            self.parts.setdefault(kind, (make or kind)())
        kept: PartT = self.parts[kind]
        return kept

    @property
    def endpoint_url(self) -> str:
        """`http://localhost:PORT`; never 127.0.0.1, which moto's template-URL parser does not know."""
        return f"http://localhost:{self.port}"

    @property
    def entered(self) -> Path:
        """Written by the call tracers (`infra.local.kernel.call_tracer`); exists only while calls are traced."""
        return self.workspace / "entered"

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's keys, for fillers that act on the cloud's own behalf.

        One per service, shared: clients are safe in threads, making them is not. It calls the application
        without a socket (see `infra.local.kernel.transport`), so its calls are not counted as served."""
        from infra.local.kernel.transport import connect

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
        """The environment that makes a process the given role: temporary keys, address, region.

        `service` (`lambda.amazonaws.com`) is who assumes the role; PermissionError where the role does not trust it."""
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
            # The SDK would compute a checksum of each body, which on loopback only costs time.
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
        """Start a process in a group of its own, its output appended to `log`; `stop` ends what is left.

        The process sees `environment` and nothing of the cloud's own but the call tracer's file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        whole = {**environment, call_tracer.FILE: str(self.entered)}
        for watcher in self.watchers:
            watcher(arguments, whole)
        # Under the lock, so that a process started at the very end is still seen by `stop`.
        with self._lock, log.open("ab") as output:
            if self.stopping.is_set():
                raise RuntimeError(f"the cloud stops: {arguments[0]} is not started")
            process = start(arguments, whole, cwd, output)
            # Those that have ended are forgotten: the system gives their ids, and groups, to other processes.
            self._processes = {pid: other for pid, other in self._processes.items() if other.poll() is None}
            self._processes[process.pid] = process
        return process

    def background(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Run `run` on a daemon thread; it must return soon after `stopping` is set."""
        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], *, resources: Sequence[str] = ()) -> str:
        """The id of the service event put on the default bus, as AWS itself would put it there."""
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
            "detail": json.loads(json.dumps(detail, default=str)),
        }
        deliver(event, bus="default")
        return event_id

    def at_stop(self, action: Callable[[], None]) -> None:
        """Call `action` when the cloud stops, before its processes are ended."""
        self._at_stop.append(action)

    def follow(self, wanted: bool) -> None:
        """Let every process of functions, jobs and endpoints write its calls to `entered`, or stop it."""
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
        """End every process that the cloud started: TERM to its group, KILL to all that are left after STOP_S."""
        # First the flag, which keeps `spawn` from starting another process, then those that wait are woken.
        self.stopping.set()
        for action in self._at_stop:
            action()
        with self._lock:
            left = [process for process in self._processes.values() if process.poll() is None]
        for process in left:
            signal_group(process, signal.SIGTERM)
        # One deadline for all: they end side by side, so many of them take no longer than one.
        end = time.monotonic() + STOP_S
        for process in left:
            try:
                process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                signal_group(process, signal.SIGKILL)
                process.wait()

    def settle(self) -> None:
        """Wait for the threads of a cloud that has stopped; those that hang are named in the log and left behind."""
        left = self.threads.join(SETTLE_S)
        if left:
            LOG.error("the cloud ended, these of its threads did not: %s", sorted(thread.name for thread in left))
