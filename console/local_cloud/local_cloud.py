"""The local cloud as a client sees it: start it, deploy into it, wait until it is idle, move its clock."""

from __future__ import annotations

import atexit
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from millrace.console.local_cloud.processes import Process, Processes, workspace
from millrace.console.stages import declared_context, declared_options
from millrace.errors import LocalCloudError
from millrace.names import Platform

ACCOUNT = "123456789012"
REGION = "eu-west-1"
PLATFORM = Platform(stage="local", account=ACCOUNT, region=REGION)
ADDRESS_S = 60.0
"""How long the cloud may take to announce its address, in seconds."""
SECRET_HEADER = "X-Millrace-Secret"  # noqa: S105 - a header's name  # pragma: allowlist secret
SECRET_VARIABLE = "MILLRACE_LOCAL_SECRET"  # noqa: S105 - a variable's name  # pragma: allowlist secret
"""The environment variable in which the local cloud's own clients find the secret of its run
(`localcloud/kernel/control.py`)."""


@dataclass(frozen=True, kw_only=True)
class LocalCloud:
    """A running local cloud."""

    endpoint_url: str
    secret: str = field(default_factory=lambda: os.environ.get(SECRET_VARIABLE, ""), repr=False)
    """The secret of the cloud's run. Clock and other control routes answer only to requests that carry it."""

    def client(self, service: str, *, key: str = "local", token: str | None = None) -> Any:
        """A boto3 client as an operator on AWS would make it. Only the endpoint differs.

        `key` is the access key of another person, `token` belongs to it if it is of a role's session."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key="local",  # noqa: S106 - the local cloud knows no secrets
            aws_session_token=token,
            # Of some operations the SDK asks another host: `sync-localhost` for TestState.
            config=Config(inject_host_prefix=False),
        )

    def now(self) -> datetime:
        """The time of the cloud's clock."""
        return datetime.fromisoformat(self._control("clock")["now"])

    def move_clock(self, to: datetime) -> None:
        self._control("clock", {"to": to.isoformat()})

    def running(self, *, retries: bool = True) -> list[str]:
        """Unfinished tasks, one line each; empty if the cloud is idle. `retries`: also what waits for another try."""
        found = self._control("idle")
        return [*found["running"], *(found["retries"] if retries else ())]

    def retries(self) -> list[str]:
        """What has failed and is tried again when the cloud's clock says so, one line each."""
        return list(self._control("idle")["retries"])

    def wait(
        self, *, timeout_s: float, busy: Callable[[list[str]], None] = lambda _: None, retries: bool = True
    ) -> None:
        """Wait until the cloud is idle. `busy` is called with the unfinished tasks; `retries` are among them.

        Raises LocalCloudError after `timeout_s` seconds, with the unfinished tasks."""
        end = time.monotonic() + timeout_s
        while moving := self.running(retries=retries):
            busy(moving)
            if time.monotonic() > end:
                raise LocalCloudError(f"local cloud: expected rest within {timeout_s:.0f} s, still moving: {moving}")
            time.sleep(0.05)

    def api_calls(self) -> int:
        """How many API calls the cloud has answered so far."""
        return int(self._control("api-calls")["total"])

    def deployments(self) -> list[dict[str, Any]]:
        """The deployments so far: `{"assembly", "stacks": [{"name", "status", "resources", "seconds"}], "at"}`."""
        return list(self._control("deployments"))

    def _control(self, route: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self.endpoint_url}/_millrace/{route}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", SECRET_HEADER: self.secret},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 # nosec B310 # on loopback, too
            return json.load(answer)


@contextmanager
def started(build: Path, *, clock: datetime, workloads: Sequence[str] = ()) -> Iterator[LocalCloud]:
    """A local cloud with the app of these workloads deployed, or of all workloads.

    A chat's webhook is left out: nobody could have put its secret there before. Synthesis and the start of the server
    run side by side.
    When the block ends, even by an exception or a signal, no process and no port of the cloud is left."""
    build.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder=build)
    # A signal in the moment between the block's end and `stop` would skip it; the interpreter's own end does not.
    atexit.register(processes.stop)
    try:
        process = start_cloud(processes, clock=clock)
        own = {**declared_options("local"), "alarm_webhook": None}
        start_synthesis(processes, {"stages": {"local": own}}, workloads=workloads).succeed()
        cloud = find_cloud(process)
        deploy(processes, cloud)
        yield cloud
    finally:
        processes.stop()
        atexit.unregister(processes.stop)


def start_cloud(processes: Processes, *, clock: datetime | None = None) -> Process:
    """Start a local cloud with its files below the folder of the processes. Without `clock` it has the wall's clock."""
    own = ["--clock", clock.isoformat()] if clock else []
    words = ["localcloud", "--workspace", str(workspace(processes.folder)), *own]
    return processes.start("local cloud", words, log="cloud.log")


def find_cloud(process: Process) -> LocalCloud:
    """The cloud as soon as its log has its address; raises LocalCloudError if it ends before, or takes too long."""
    end = time.monotonic() + ADDRESS_S
    while time.monotonic() < end:
        # Looked up before the log is read: if the process ends in between, its last lines are still read once.
        has_ended = process.has_ended()
        for line in process.log.read_text(errors="replace").splitlines(keepends=True):
            # A line without its end is still being written.
            if line.startswith('{"endpoint_url"') and line.endswith("\n"):
                announced = json.loads(line)
                secret = Path(announced["secret_file"]).read_text()
                return LocalCloud(endpoint_url=announced["endpoint_url"], secret=secret)
        if has_ended:
            break
        time.sleep(0.02)
    raise LocalCloudError(f"local cloud: expected its address, got nothing; see {process.log}")


def start_synthesis(
    processes: Processes, context: Mapping[str, Any] | None = None, *, workloads: Sequence[str] = ()
) -> Process:
    """Start the app's synthesis for the stage `local`, into `cdk.out` below the folder of the processes.

    `workloads` are synthesized; none means all. The context is that of `cdk.json`, as `cdk` has it; `context` overrides
    it."""
    environment = {
        **synthesis_variables(processes.folder / "cdk.out", synthesis_context(context or {}, workloads)),
        "MILLRACE_BUILD": str(processes.folder.resolve()),
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
    }
    return processes.start("synthesis", ["millrace.infra.app"], log="synth.log", environment=environment)


def synthesis_variables(outdir: Path, context: Mapping[str, Any]) -> dict[str, str]:
    """What the app is given by its environment, as `cdk` gives it."""
    # CDK's own validation engine takes 6 s to start; the tests run it on dev and prod.
    return {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(outdir)}


def synthesis_context(
    context: Mapping[str, Any], workloads: Sequence[str], platform: Platform = PLATFORM
) -> dict[str, Any]:
    """The app's context: that of `cdk.json`, then `context`, then the workloads.

    Stage, account and region are always those of the platform."""
    selection = {"workloads": ",".join(workloads)} if workloads else {}
    place = {"stage": platform.stage, "account": platform.account, "region": platform.region}
    return {**declared_context(), **context, **selection, **place}


def deploy(processes: Processes, cloud: LocalCloud) -> None:
    """Deploy the synthesized app; raises LocalCloudError with the reason of the stack that failed."""
    words = ["localcloud.deploy", "--endpoint-url", cloud.endpoint_url, str(processes.folder / "cdk.out")]
    processes.start("deployment", words, log="deploy.log", environment={SECRET_VARIABLE: cloud.secret}).succeed()
