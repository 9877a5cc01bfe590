"""The cloud on this desk as its user sees it: started, deployed into, watched, moved in time, stopped."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from millrace.errors import DeskError
from millrace.names import Platform

ACCOUNT = "123456789012"
REGION = "eu-west-1"
PLATFORM = Platform(stage="local", account=ACCOUNT, region=REGION)
STOP_S = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A running local cloud."""

    endpoint_url: str

    def client(self, service: str) -> Any:
        """A boto3 client as an operator on AWS would make it; only the endpoint differs."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - the local cloud knows no secrets
        )

    def now(self) -> datetime:
        """The cloud's time."""
        return datetime.fromisoformat(self._control("clock")["now"])

    def move_clock(self, to: datetime) -> None:
        self._control("clock", {"to": to.isoformat()})

    def running(self) -> list[str]:
        """What is still moving; empty when the cloud is at rest."""
        return list(self._control("idle")["running"])

    def wait(self, *, timeout_s: float, told: Callable[[list[str]], None] = lambda _: None) -> None:
        """Come back when nothing moves any more; raises DeskError with what still does after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while moving := self.running():
            told(moving)
            if time.monotonic() > end:
                raise DeskError(f"local cloud: expected rest within {timeout_s:.0f} s, still moving: {moving}")
            time.sleep(0.05)

    def api_calls(self) -> int:
        return int(self._control("api-calls")["total"])

    def calls_by_operation(self) -> dict[str, int]:
        """How often each `<service>:<operation>` was called."""
        return dict(self._control("api-calls")["by_operation"])

    @contextmanager
    def followed(self) -> Iterator[Callable[[], list[str]]]:
        """In the block, what functions, jobs and endpoints call is written down; the value reads it.

        A line `<process> <file> <function>` for the first call of each function of ours in each process, in order."""
        self._control("follow", {"on": True})
        try:
            yield lambda: list(self._control("entered"))
        finally:
            self._control("follow", {"on": False})

    def _control(self, route: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self.endpoint_url}/_millrace/{route}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


@contextmanager
def started(build: Path, *, clock: datetime) -> Iterator[Desk]:
    """A local cloud with the app deployed; synthesis and the server's start run side by side.

    When the block ends, also by an exception or a signal, no process and no port of it is left."""
    build.mkdir(parents=True, exist_ok=True)
    assembly = build / "cdk.out"
    cloud_log, synth_log, deploy_log = (build / f"{name}.log" for name in ("cloud", "synth", "deploy"))
    processes: list[subprocess.Popen[bytes]] = []
    # A signal in the moment between the block's end and `_stop` would skip it; the interpreter's own end does not.
    stop = partial(_stop, processes)
    atexit.register(stop)
    try:
        cloud = _start(
            processes,
            ["infra.local", "--workspace", str(build / "local"), "--clock", clock.isoformat()],
            cloud_log,
            stdout=subprocess.PIPE,
        )
        synth = _start(
            processes,
            ["infra.app"],
            synth_log,
            environment={
                "CDK_OUTDIR": str(assembly),
                "MILLRACE_BUILD": str(build.resolve()),
                "CDK_DEFAULT_ACCOUNT": ACCOUNT,
                "CDK_DEFAULT_REGION": REGION,
                # CDK's own validation engine takes 6 s to start; the tests run it on dev and prod.
                "CDK_VALIDATION": "false",
            },
        )
        _succeed(synth, "synthesis", synth_log)
        assert cloud.stdout is not None
        line = cloud.stdout.readline()
        if not line:
            raise DeskError(f"local cloud: expected its address, got nothing; see {cloud_log}")
        desk = Desk(endpoint_url=json.loads(line)["endpoint_url"])
        deploy = _start(
            processes, ["infra.local.deploy", "--endpoint-url", desk.endpoint_url, str(assembly)], deploy_log
        )
        _succeed(deploy, "deployment", deploy_log)
        yield desk
    finally:
        stop()
        atexit.unregister(stop)


def _start(
    processes: list[subprocess.Popen[bytes]],
    arguments: list[str],
    log: Path,
    *,
    stdout: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    # What a process that is interrupted leaves in its temporary folder stays below the build folder.
    temporary = log.parent.resolve() / "tmp"
    temporary.mkdir(exist_ok=True)
    with log.open("wb") as output, _undisturbed():
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env={**os.environ, "TMPDIR": str(temporary), **(environment or {})},
            start_new_session=True,
        )
        processes.append(process)
    return process


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal that comes in the block takes effect at its end: no process is started that nobody would stop."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for got in came:
        signal.raise_signal(got)


def _succeed(process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    if process.wait() != 0:
        raise DeskError(f"{what}: expected exit status 0, got {process.returncode}; see {log}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """TERM to each process group, KILL to what is left of it after STOP_S; a second signal cannot cut it short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        left = [process for process in processes if process.poll() is None]
        for process in left:
            os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        for process in left:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, end - time.monotonic()))
            # Also what the leader of the group left behind: the synthesis has a child of its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for process in processes:
            if process.stdout is not None:
                process.stdout.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
