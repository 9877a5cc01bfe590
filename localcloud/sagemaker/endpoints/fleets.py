"""The instances behind one endpoint configuration: its one variant has as many serving processes as instances.

SageMaker replaces an instance that is not healthy. Here a process that has ended is started again, and gets no requests
until it answers /ping. A process that hangs is not detected.
"""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.cloudwatch.metrics import put
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.memory import exceed, held_mb, members
from localcloud.kernel.processes import signal_group
from localcloud.sagemaker.api import Fields
from localcloud.sagemaker.containers import images
from localcloud.sagemaker.endpoints.serving import Server
from localcloud.sagemaker.jobs.jobs import instance_mb, jobs
from localcloud.sagemaker.models import Served, artefact, served

_INSTANCES = "/aws/sagemaker/Endpoints"
"""The namespace of what instances publish: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
_START_LIMIT_S = 240.0
"""Seconds for the start of a server whose variant declares no ContainerStartupHealthCheckTimeoutInSeconds."""
_DRAIN_S = 60.0
"""Seconds that a request may take at most. A server that is taken away gets so long to answer its requests."""
_RESTART_FIRST_S = 0.1
_RESTART_LONGEST_S = 10.0
"""Seconds between two starts of a server that does not come up: each pause is twice the one before, up to this."""


class BootError(Exception):
    """A server did not come up. The message becomes the endpoint's FailureReason."""


@dataclass(kw_only=True)
class Fleet:
    """The servers of the one production variant of an endpoint configuration."""

    cloud: Cloud
    endpoint: str
    config: str
    settings: Fields
    """The ProductionVariant of the endpoint configuration."""
    served: Served
    desired: int
    """The desired number of instances. `current` follows it."""
    servers: list[Server] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Guards `servers`, their `busy` counts, `_restarting` and `ended`. Not held while a server boots or drains."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    """Numbers the servers, for their folders and logs."""
    _turn: itertools.count[int] = field(default_factory=itertools.count)
    """Counts the requests, which go to the servers in turn."""
    _restarting: set[int] = field(default_factory=set)
    """The `id` of each server that a thread is starting again."""
    ended: bool = False
    """Whether the fleet was taken away: no server is started any more."""

    @property
    def name(self) -> str:
        name: str = self.settings["VariantName"]
        return name

    @property
    def current(self) -> int:
        """The number of instances that have come up and not been taken away."""
        return len(self.servers)

    def boot(self) -> None:
        """Bring all servers up, or raise as `grow` does; no server is left then."""
        try:
            self.grow()
        except BaseException:
            self.end()
            raise

    def grow(self) -> None:
        """Add servers, in parallel, until there are as many as desired.

        Raises BootError if one of them does not come up; those that came up stay. Raises MoveError if the model cannot
        be read."""
        missing = self.desired - self.current
        if missing <= 0:
            return
        model = artefact(self.cloud, self.served)
        made = [self._make(model) for _ in range(missing)]
        with ThreadPoolExecutor(missing) as pool:
            ready = list(pool.map(self._boot, made))
        # `lease` gives requests to the servers in this list only, so they get none before they are ready.
        with self.lock:
            self.servers += [server for server, good in zip(made, ready, strict=True) if good]
        for server, good in zip(made, ready, strict=True):
            if not good:
                server.end()
        if not all(ready):
            raise BootError(
                f"The primary container for production variant {self.name} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            )

    def _make(self, model: Path) -> Server:
        number = next(self._numbers)
        # Blue and green may have a variant of the same name: `id` keeps the folders of their servers apart.
        folder = self.cloud.workspace / "endpoints" / self.endpoint / f"{self.name}-{id(self):x}-{number}"
        return Server(
            cloud=self.cloud,
            image=images(self.cloud).find(self.served.image),
            model=model,
            root=folder,
            environment=self.served.environment,
            log=self.cloud.workspace / "logs" / "endpoints" / self.endpoint / f"{self.name}-{number}.log",
        )

    def _boot(self, server: Server) -> bool:
        limit_s = self.settings.get("ContainerStartupHealthCheckTimeoutInSeconds", _START_LIMIT_S)
        server.start()
        return server.ready(limit_s)

    def shrink(self) -> None:
        """End the newest servers until there are as many as desired."""
        # First they leave the list, so that `lease` gives them no more requests. Then they are drained and ended,
        # without the lock.
        with self.lock:
            over, self.servers = self.servers[self.desired :], self.servers[: self.desired]
        _end(over)

    def share(self) -> float:
        """What one request adds to the metric InvocationsPerInstance: 1 divided by the number of instances."""
        return 1.0 / max(1, self.current)

    def end(self) -> None:
        """End all servers once they have answered their requests, and start none any more."""
        with self.lock:
            self.ended = True
            servers, self.servers = self.servers, []
        _end(servers)

    @contextmanager
    def lease(self) -> Iterator[Server | None]:
        """Give the next server in turn that is up, or None if none is up. It counts as busy until the block ends."""
        with self.lock:
            up = [one for one in self.servers if one.alive and id(one) not in self._restarting]
            server = up[next(self._turn) % len(up)] if up else None
            if server is not None:
                server.busy += 1
        try:
            yield server
        finally:
            if server is not None:
                with self.lock:
                    server.busy -= 1

    def replace_dead(self) -> None:
        """Start servers again whose process has ended, each on a thread of its own. Returns at once."""
        with self.lock:
            dead = [one for one in self.servers if not one.alive and id(one) not in self._restarting]
            self._restarting |= {id(one) for one in dead}
        for server in dead:
            self.cloud.background(f"restart-{self.name}", lambda server=server: self._restart(server))  # type: ignore[misc]

    def meter(self) -> None:
        """Publish each server's share of its instance's memory, in percent, and kill one that holds more than all.

        Its kernel would do so: the container ends without a word, and is started again."""
        most_mb = min(jobs(self.cloud).most_mb, instance_mb(self.settings["InstanceType"]))
        dimensions = {"EndpointName": self.endpoint, "VariantName": self.name}
        with self.lock:
            running = [one.process for one in self.servers if one.process and one.alive]
        for process in running:
            pids = members(process.pid)
            share = 100 * held_mb(pids) / most_mb
            put(self.cloud, _INSTANCES, "MemoryUtilization", share, dimensions=dimensions, unit="Percent")
            if exceed(pids, most_mb):
                signal_group(process, signal.SIGKILL)

    def _restart(self, server: Server) -> None:
        # Until the server answers /ping, or is taken out of the variant.
        wait_s = _RESTART_FIRST_S
        while not self.cloud.stopping.is_set():
            # Under the lock: this thread must not start a server again that `shrink` or `end` has just taken out.
            with self.lock:
                if self.ended or server not in self.servers:
                    break
                server.start()
            if server.ready(_START_LIMIT_S):
                break
            self.cloud.stopping.wait(wait_s)
            wait_s = min(2 * wait_s, _RESTART_LONGEST_S)
        with self.lock:
            self._restarting.discard(id(server))
            gone = self.ended or server not in self.servers
        # The server was taken out while it booted. Who took it out ended its former process, but perhaps not this one.
        if gone:
            server.end()

    def describe(self) -> Fields:
        """The variant as DescribeEndpoint shows it."""
        return {
            "VariantName": self.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": self.served.image,
                    "ResolvedImage": self.served.image,
                    "ResolutionTime": self.cloud.clock.now(),
                }
            ],
            "CurrentWeight": self.settings.get("InitialVariantWeight", 1.0),
            "DesiredWeight": self.settings.get("InitialVariantWeight", 1.0),
            "CurrentInstanceCount": self.current,
            "DesiredInstanceCount": self.desired,
        }


def _end(servers: list[Server]) -> None:
    if servers:
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.end(_DRAIN_S), servers))


def fleet(cloud: Cloud, endpoint: str, config: Fields, *, desired: int | None = None) -> Fleet:
    """A fleet of the endpoint configuration `config`, not started yet, of `desired` instances, else of its own count.

    Raises RefusedError if the model does not exist."""
    (settings,) = config["ProductionVariants"]
    return Fleet(
        cloud=cloud,
        endpoint=endpoint,
        config=config["EndpointConfigName"],
        settings=settings,
        served=served(cloud, settings["ModelName"]),
        desired=settings.get("InitialInstanceCount", 1) if desired is None else desired,
    )
