"""The cloud on this desk as its user sees it: started, deployed into, watched, moved in time, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from millrace.errors import DeskError
from millrace.names import Platform

ACCOUNT = "123456789012"
REGION = "eu-west-1"
PLATFORM = Platform(stage="local", account=ACCOUNT, region=REGION)
STOP_S = 10


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

    def _control(self, route: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self.endpoint_url}/_millrace/{route}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return dict(json.load(answer))


@contextmanager
def started(build: Path, *, clock: datetime) -> Iterator[Desk]:
    """A local cloud with the app deployed; synthesis and the server's start run side by side.

    When the block ends, also by an exception or a signal, no process and no port of it is left."""
    build.mkdir(parents=True, exist_ok=True)
    assembly = build / "cdk.out"
    cloud_log, synth_log, deploy_log = (build / f"{name}.log" for name in ("cloud", "synth", "deploy"))
    processes: list[subprocess.Popen[bytes]] = []
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
        _stop(processes)


def _start(
    processes: list[subprocess.Popen[bytes]],
    arguments: list[str],
    log: Path,
    *,
    stdout: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    processes.append(process)
    return process


def _succeed(process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    if process.wait() != 0:
        raise DeskError(f"{what}: expected exit status 0, got {process.returncode}; see {log}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """TERM to each process group, KILL to what is left after STOP_S; a second signal cannot cut it short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for process in processes:
            _kill(process, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(process, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)
