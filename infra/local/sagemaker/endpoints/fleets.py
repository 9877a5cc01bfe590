"""The instances behind one endpoint configuration: each variant is as many serving processes as it has instances.

SageMaker replaces an instance that is not healthy; here a process that died is started again and gets no requests
until it answers /ping. A process that hangs is not detected.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.local.kernel.cloud import Cloud
from infra.local.sagemaker.api import Fields
from infra.local.sagemaker.containers import images
from infra.local.sagemaker.endpoints.serving import Server
from infra.local.sagemaker.models import Served, artefact, served

_START_LIMIT_S = 240.0
"""Where the variant declares no ContainerStartupHealthCheckTimeoutInSeconds."""
_DRAIN_S = 60.0
"""The longest that a request may take, and so that a server which is taken away is waited for."""
_RESTART_FIRST_S = 0.1
_RESTART_LONGEST_S = 10.0
"""Between two starts of a server that does not come up: each pause is twice the one before, up to this."""


class BootError(Exception):
    """The message becomes the endpoint's FailureReason."""


@dataclass(kw_only=True)
class Variant:
    """One production variant: its weight and its servers."""

    cloud: Cloud
    endpoint: str
    settings: Fields
    """The ProductionVariant of the endpoint configuration."""
    served: Served
    weight: float
    desired: int
    """Desired instances; `current` follows."""
    servers: list[Server] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Guards `servers`, their `busy` counts, `_restarting` and `ended`; never held while a server boots or drains."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _turn: itertools.count[int] = field(default_factory=itertools.count)
    _restarting: set[int] = field(default_factory=set)
    ended: bool = False

    @property
    def name(self) -> str:
        name: str = self.settings["VariantName"]
        return name

    @property
    def current(self) -> int:
        return len(self.servers)

    def grow(self) -> None:
        """Add servers, in parallel, until there are as many as desired. Raises BootError."""
        missing = self.desired - self.current
        if missing <= 0:
            return
        model = artefact(self.cloud, self.served)
        made = [self._make(model) for _ in range(missing)]
        with ThreadPoolExecutor(missing) as pool:
            ready = list(pool.map(self._boot, made))
        # Only now do they get requests.
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

    def _make(self, model: object) -> Server:
        number = next(self._numbers)
        # Blue and green have variants of the same name: `id` keeps their folders apart.
        folder = self.cloud.workspace / "endpoints" / self.endpoint / f"{self.name}-{id(self):x}-{number}"
        return Server(
            cloud=self.cloud,
            image=images(self.cloud).find(self.served.image),
            model=artefact(self.cloud, self.served) if model is None else model,  # type: ignore[arg-type]
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
        # Out of the list first, so that `lease` gives them no more requests, then drained and ended outside of the
        # lock.
        with self.lock:
            over, self.servers = self.servers[self.desired :], self.servers[: self.desired]
        _end(over)

    def share(self) -> float:
        """How much one request adds to InvocationsPerInstance."""
        return 1.0 / max(1, self.current)

    def end(self) -> None:
        with self.lock:
            self.ended = True
            servers, self.servers = self.servers, []
        _end(servers)

    @contextmanager
    def lease(self) -> Iterator[Server | None]:
        """The next server in turn that is up, kept until the block ends; None when none is."""
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
        """Start servers again whose process ended; returns at once."""
        with self.lock:
            dead = [one for one in self.servers if not one.alive and id(one) not in self._restarting]
            self._restarting |= {id(one) for one in dead}
        for server in dead:
            self.cloud.background(f"restart-{self.name}", lambda server=server: self._restart(server))  # type: ignore[misc]

    def _restart(self, server: Server) -> None:
        wait_s = _RESTART_FIRST_S
        while not self.cloud.stopping.is_set():
            # Under the lock: a server that `shrink` or `end` has just taken out must not be started again by this
            # thread.
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
        # It was taken out while it booted: whoever did so ended the process of before, perhaps not this one.
        if gone:
            server.end()

    def describe(self) -> Fields:
        """As DescribeEndpoint shows it."""
        return {
            "VariantName": self.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": self.served.image,
                    "ResolvedImage": self.served.image,
                    "ResolutionTime": self.cloud.clock.now(),
                }
            ],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.current,
            "DesiredInstanceCount": self.desired,
        }


def _end(servers: list[Server]) -> None:
    if servers:
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.end(_DRAIN_S), servers))


@dataclass(kw_only=True)
class Fleet:
    """All variants of one endpoint configuration."""

    config: str
    variants: dict[str, Variant]

    def boot(self) -> None:
        """Bring every variant up, in parallel. Raises BootError; nothing is left then."""
        try:
            with ThreadPoolExecutor(len(self.variants)) as pool:
                list(pool.map(Variant.grow, self.variants.values()))
        except BaseException:
            # The pool has waited for every variant, also for those after the one that failed: all their servers are
            # seen.
            self.end()
            raise

    def end(self) -> None:
        for variant in self.variants.values():
            variant.end()

    def replace_dead(self) -> None:
        for variant in self.variants.values():
            variant.replace_dead()


def fleet(
    cloud: Cloud, endpoint: str, config: Fields, *, keep: Fleet | None = None, kept: Collection[str] = ()
) -> Fleet:
    """A fleet of `config` that is not started; counts and weights named in `kept` come from the fleet `keep`."""
    variants = {}
    for settings in config["ProductionVariants"]:
        name = settings["VariantName"]
        before = keep.variants.get(name) if keep else None
        weight, desired = settings.get("InitialVariantWeight", 1.0), settings.get("InitialInstanceCount", 1)
        variants[name] = Variant(
            cloud=cloud,
            endpoint=endpoint,
            settings=settings,
            served=served(cloud, settings["ModelName"]),
            weight=before.weight if before and "DesiredWeight" in kept else weight,
            desired=before.desired if before and "DesiredInstanceCount" in kept else desired,
        )
    return Fleet(config=config["EndpointConfigName"], variants=variants)
